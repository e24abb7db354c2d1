-- What was served stays where the new forecasts come too late to be served.
delete from forecasts
using (
    select
        station_id,
        variable,
        issued_at,
        bool_and(backfilled) as too_late
    from served
    group by all
) as replaced
where replaced.station_id = forecasts.station_id
    and replaced.variable = forecasts.variable
    and replaced.issued_at = forecasts.issued_at
    and (coalesce(forecasts.backfilled, false) or not replaced.too_late)
