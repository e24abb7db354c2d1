-- Stations of which, as known by $now, nothing was observed since $since, but something since $since_before.
select
    station_id,
    max(observed_at) as last_observed_at
from observation_versions
where known_from <= $now
group by station_id
having max(observed_at) < $since
    and max(observed_at) >= $since_before
order by station_id
