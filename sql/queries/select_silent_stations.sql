-- Stations of which, as known by $now, nothing was observed since $since; null for never.
with heard as (
    select
        station_id,
        max(observed_at) as last_observed_at
    from observation_versions
    where known_from <= $now
    group by station_id
),
final as (
    select
        station_id,
        last_observed_at
    from stations
    left join heard using (station_id)
    where last_observed_at is null
        or last_observed_at < $since
)
select * from final
order by last_observed_at nulls first, station_id
