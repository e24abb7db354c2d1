-- How many forecasts there are of an hour of issue, by station, and how many of them somebody was served.
select
    station_id,
    count(*) as rows,
    count(*) filter (not coalesce(backfilled, false)) as served
from forecasts
where issued_at = $issued_at
group by station_id
