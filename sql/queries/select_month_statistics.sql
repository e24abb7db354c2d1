select month_statistics.*
from month_statistics
semi join months using (station_id, month)
