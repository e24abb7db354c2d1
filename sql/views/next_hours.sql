-- What do the next hours bring? One row for each station and hour after the network's newest hour of issue, with the median forecast
-- of each variable in a column of its name; null where a variable is not forecast. For intervals see latest_forecasts.
create or replace view next_hours as
with ahead as (
    select
        station_id,
        valid_at,
        variable,
        value
    from latest_forecasts
    where valid_at > (select max(issued_at) from latest_forecasts)
),
final as (
    select
        station_id,
        valid_at,
        {medians}
    from ahead
    group by station_id, valid_at
)
select * from final
order by station_id, valid_at;
