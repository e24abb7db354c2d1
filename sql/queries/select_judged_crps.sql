select
    variable,
    forecaster,
    sum(n * crps) / sum(n) as crps
from judgements
where model_id = $model_id
group by all
order by variable, forecaster
