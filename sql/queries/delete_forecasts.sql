delete from forecasts
using (select distinct station_id, variable, issued_at from served) as replaced
where replaced.station_id = forecasts.station_id
    and replaced.variable = forecasts.variable
    and replaced.issued_at = forecasts.issued_at
