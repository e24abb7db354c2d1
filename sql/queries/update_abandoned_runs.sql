-- one of a flow is at work at a time; where two are after all, the end of each is noted when it comes
update runs
set
    status = 'failed',
    message = 'It was killed, or lost its machine: no end was noted before the next run began.'
where flow = $flow
    and status = 'running'
