delete from stale_hours
using ranges
where ranges.station_id = stale_hours.station_id
    and stale_hours.since >= ranges.since
    and stale_hours.until <= ranges.until
