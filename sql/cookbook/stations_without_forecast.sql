-- Which stations have no forecast from the network's newest issue, when was their last, and when were they last heard of?
with newest as (
    select
        station_id,
        max(issued_at) as last_issued_at
    from forecasts
    group by station_id
),
final as (
    select
        station_id,
        last_issued_at,
        last_observed_at
    from station_coverage
    anti join retired_stations using (station_id)
    left join newest using (station_id)
    where last_issued_at is null
        or last_issued_at < (select max(issued_at) from forecasts)
)
select * from final
order by station_id
