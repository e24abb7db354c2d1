-- At which hours of the day are the forecasts too high or too low? By the UTC hour; put your own time zone in its place.
select
    variable,
    extract('hour' from valid_at at time zone 'UTC') as hour_of_day,
    count(*) as n,
    avg(error) as bias,
    avg(abs(error)) as mae
from forecast_errors
where observed is not null
group by variable, hour_of_day
order by variable, hour_of_day
