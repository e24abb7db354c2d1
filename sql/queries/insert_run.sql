insert into runs
values ($run_id, $flow, $as_of, $started_at, null, 'running', null)
