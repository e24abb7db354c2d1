-- What is the forecast now? The newest forecast of each station and variable.
create or replace view latest_forecasts as
with newest as (
    select
        station_id,
        variable,
        max(issued_at) as issued_at
    from forecasts
    group by all
)
select forecasts.*
from forecasts
semi join newest using (station_id, variable, issued_at)
order by station_id, variable, lead_hours;
