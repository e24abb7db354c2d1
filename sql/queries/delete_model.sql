delete from models
where model_id = $model_id
