update models
set
    role = 'champion',
    promoted_at = $promoted_at
where model_id = $model_id
