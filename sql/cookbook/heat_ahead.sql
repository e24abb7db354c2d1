-- How many of the next 24 hours will likelier than not be warmer than 30 °C, from when to when, at every station?
-- The largest chance of these hours is at least as told: 0 where all are at most 5 % likely.
select
    station_id,
    count(*) filter (above_at_least > 0.5) as hours,
    min(valid_at) filter (above_at_least > 0.5) as first_hour,
    max(valid_at) filter (above_at_least > 0.5) as last_hour,
    max(above_at_least) as largest_chance_at_least
from threshold_risk('air_temperature_c', 30)
group by station_id
order by hours desc, largest_chance_at_least desc, station_id
