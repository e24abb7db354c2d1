select
    station_id,
    offset_h
from station_clock
where suspect
order by station_id
