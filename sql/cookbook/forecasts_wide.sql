-- How do I get the newest forecasts as a row for each station and hour and a column for each variable?
pivot (
    select
        station_id,
        issued_at,
        valid_at,
        variable,
        value
    from latest_forecasts
)
on variable
using first(value)
group by station_id, issued_at, valid_at
order by station_id, valid_at
