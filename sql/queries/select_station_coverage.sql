select *
from station_coverage
order by station_id
