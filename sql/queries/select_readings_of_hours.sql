select readings.*
from readings
semi join keys
    on keys.station_id = readings.station_id
    and keys.hour = date_trunc('hour', readings.observed_at + interval 1 hour - interval 1 microsecond)
order by received_at, row_number
