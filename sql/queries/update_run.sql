update runs
set
    finished_at = $finished_at,
    status = $status,
    message = $message
where run_id = $run_id
