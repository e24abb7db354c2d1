-- The same hours of every station that is compared with one of stale hours.
insert into stale_hours by name
select
    neighbours.station_id,
    stale_hours.since,
    stale_hours.until
from stale_hours
join neighbours
    on neighbours.neighbour_id = stale_hours.station_id
