delete from judgements
where model_id = $model_id
