update models
set
    role = 'champion',
    promoted_at = $promoted_at,
    promoted_by = $promoted_by
where model_id = $model_id
