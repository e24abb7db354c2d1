insert into forecasts by name
select served.*
from served
anti join (
    select
        station_id,
        variable,
        issued_at
    from forecasts
    where issued_at in (select issued_at from served) and not coalesce(backfilled, false)
) as kept using (station_id, variable, issued_at)
