select *
from judgements
where model_id = $model_id
order by forecaster, variable, lead_hours
