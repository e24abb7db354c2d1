-- As latest_forecasts, of a part of the forecasts that holds them.
with newest as (
    select
        station_id,
        variable,
        max(issued_at) as issued_at
    from candidates
    group by all
)
select candidates.*
from candidates
semi join newest using (station_id, variable, issued_at)
order by station_id, variable, lead_hours
