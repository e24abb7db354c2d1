-- How many forecasts there are of an hour of issue, by station.
select
    station_id,
    count(*) as rows
from forecasts
where issued_at = $issued_at
group by station_id
