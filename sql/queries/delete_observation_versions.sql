delete from observation_versions
using hours
where hours.station_id = observation_versions.station_id
    and hours.observed_at = observation_versions.observed_at
