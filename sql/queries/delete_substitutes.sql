delete from substitutes
where model_id = $model_id
