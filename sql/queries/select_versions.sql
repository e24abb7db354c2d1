select
    * exclude (known_until),
    case when known_until <= $as_of then known_until end as known_until
from observation_versions
where known_from <= $as_of
    and observed_at between $since and $until
order by
    station_id,
    observed_at,
    known_from
