insert into models by name
select
    $model_id as model_id,
    $forecaster as forecaster,
    $checkpoint as checkpoint,
    $data_hash as data_hash,
    $trained_until::timestamptz as trained_until,
    $registered_at::timestamptz as registered_at,
    'challenger' as role,
    null::timestamptz as promoted_at,
    $reason as reason,
    $decision as decision
