-- The newest issue up to $as_of, for the first stations by id.
with newest as (
    select max(issued_at) as issued_at
    from forecasts
    where issued_at <= $as_of
),
shown as (
    select distinct station_id
    from forecasts
    where issued_at = (select issued_at from newest)
    order by station_id
    limit $stations
),
final as (
    select
        forecasts.* exclude (value, model_id, created_at),
        stations.name
    from forecasts
    left join stations using (station_id)
    where issued_at = (select issued_at from newest)
        and station_id in (select station_id from shown)
)
select * from final
order by station_id, variable, lead_hours
