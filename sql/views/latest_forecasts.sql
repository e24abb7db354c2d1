-- What is the forecast now? The newest forecast of each station, of every variable that is forecast there; without stations that
-- are retired.
create or replace view latest_forecasts as
with newest as (
    select
        station_id,
        max(issued_at) as issued_at
    from forecasts
    anti join retired_stations using (station_id)
    group by station_id
)
select forecasts.*
from forecasts
semi join newest using (station_id, issued_at)
order by station_id, variable, lead_hours;
