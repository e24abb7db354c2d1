select
    station_id,
    neighbour_id,
    rank
from neighbours
order by
    station_id,
    rank
