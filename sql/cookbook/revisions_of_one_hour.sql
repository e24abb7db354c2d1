-- How did the forecast of one hour change from issue to issue, and what came? The air temperature of the newest hour observed.
with hour as (
    select max(valid_at) as valid_at
    from forecast_errors
    where variable = 'air_temperature_c'
        and observed is not null
)
select
    station_id,
    issued_at,
    lead_hours,
    value,
    q10,
    q90,
    value - lag(value) over (partition by station_id order by issued_at) as revision,
    observed
from forecast_errors
semi join hour using (valid_at)
where variable = 'air_temperature_c'
    and observed is not null
order by station_id, issued_at
