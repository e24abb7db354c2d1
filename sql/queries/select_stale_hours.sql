-- One row a station and month.
select
    station_id,
    min(since) as since,
    max(until) as until
from stale_hours
group by
    station_id,
    date_trunc('month', since)
order by
    date_trunc('month', since),
    station_id
