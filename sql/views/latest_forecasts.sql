-- What comes next? The newest forecast of each station and variable.
create or replace view latest_forecasts as
select *
from forecasts
qualify issued_at = max(issued_at) over (partition by station_id, variable)
order by station_id, variable, lead_hours;
