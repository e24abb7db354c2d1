select *
from observations
where list_contains($stations::varchar[], station_id)
    and observed_at between $since and $until
order by station_id, observed_at
