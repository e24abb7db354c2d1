select readings.*
from readings
semi join keys using (station_id, observed_at)
order by received_at, row_number
