-- The versions of the hours [since, until] of each station in `ranges`.
select observation_versions.*
from observation_versions
join ranges
    on ranges.station_id = observation_versions.station_id
    and observation_versions.observed_at between ranges.since and ranges.until
where observation_versions.observed_at between $earliest and $latest
