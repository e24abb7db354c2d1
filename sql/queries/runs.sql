-- The log of runs, and the repair of times that a wrong clock wrote.

-- name: delete_future_forecasts
delete from forecasts
where issued_at > $latest;

-- name: insert_run
insert into runs
values ($run_id, $flow, $as_of, $started_at, null, 'running', null);

-- name: select_future_forecasts
select distinct issued_at
from forecasts
where issued_at > $latest;

-- name: select_future_watermarks
-- Watermarks later than $latest, with the newest receipt of each source that was loaded by $now.
select
    source,
    watermarks.received_until as watermark,
    max(batches.received_until) filter (batches.received_until <= $now) as received_until
from watermarks
left join batches using (source)
where watermarks.received_until > $latest
group by all
order by source;

-- name: select_late_issues
select distinct issued_at
from external_forecasts
where received_at > $latest;

-- name: select_late_receipts
select
    station_id,
    observed_at,
    received_at
from readings
where received_at > $latest;

-- name: select_newest_observed
select greatest(
    (select max(observed_at) from readings),
    (select max(issued_at) from external_forecasts)
) as observed_at;

-- name: select_newest_stamp
select greatest(
    (select max(started_at) from runs),
    (select max(ingested_at) from batches),
    (select max(registered_at) from models)
) as stamped_at;

-- name: select_previous_run
select max(as_of) as as_of
from runs
where flow = $flow
    and status = 'done'
    and as_of <= $now;

-- name: select_runs_between
select count(*) > 0 as any_run
from runs
where started_at between $since and $until;

-- name: update_external_forecast_receipts
update external_forecasts
set received_at = $now
where received_at > $latest;

-- name: update_orphaned_runs
-- Only one run of a flow is active at a time; if there are two after all, each still records its end.
update runs
set
    status = 'failed',
    message = 'It was killed, or lost its machine: no end was noted before the next run began.'
where flow = $flow
    and status = 'running';

-- name: update_receipts
update readings
set received_at = $now
where received_at > $latest;

-- name: update_run
update runs
set
    finished_at = $finished_at,
    status = $status,
    message = $message
where run_id = $run_id;
