insert into promotions by name
select
    $model_id as model_id,
    $promoted_at::timestamptz as promoted_at,
    $promoted_by as promoted_by
