-- Hours that are there already and draw on the climatology of a month before them, from `boundary` on.
insert into stale_hours by name
select
    station_id,
    min(observed_at) as since,
    max(observed_at) as until
from observation_versions
join later using (station_id)
where observed_at >= later.boundary
group by
    station_id,
    date_trunc('month', observed_at)
