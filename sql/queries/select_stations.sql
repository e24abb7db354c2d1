select
    station_id,
    latitude,
    longitude,
    elevation_m
from stations
order by station_id
