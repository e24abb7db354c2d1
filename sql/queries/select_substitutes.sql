select
    variable,
    station_id,
    forecaster,
    crps_ratio,
    p_value,
    days
from substitutes
where model_id = $model_id
order by variable, station_id nulls first
