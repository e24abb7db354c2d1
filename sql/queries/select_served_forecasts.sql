-- Which forecasts of these hours of issue somebody was served.
select distinct
    station_id,
    variable,
    issued_at
from forecasts
where issued_at between $first and $last and not coalesce(backfilled, false)
