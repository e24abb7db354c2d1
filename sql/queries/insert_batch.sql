insert into batches by name
select
    $batch_id as batch_id,
    $source as source,
    $origin as origin,
    $fingerprint as fingerprint,
    $complete as complete,
    $received_until::timestamptz as received_until,
    $rows_delivered as rows_delivered,
    $rows_kept as rows_kept,
    $rows_repeated as rows_repeated,
    $rows_revised as rows_revised,
    $rows_refused as rows_refused,
    $ingested_at::timestamptz as ingested_at,
    $reason as reason
