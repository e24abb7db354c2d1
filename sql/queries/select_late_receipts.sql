select
    station_id,
    observed_at,
    received_at
from readings
where received_at > $latest
