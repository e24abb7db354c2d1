-- The readings that make up the hours [since, until] of each station in `ranges`.
select readings.*
from readings
join ranges
    on ranges.station_id = readings.station_id
    and readings.observed_at > ranges.since - interval 1 hour
    and readings.observed_at <= ranges.until
where readings.observed_at between $earliest and $latest
