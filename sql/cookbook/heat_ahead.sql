-- How many of the next 24 hours will likelier than not be warmer than 30 °C, from when to when, at every station?
select
    station_id,
    count(*) filter (above > 0.5) as hours,
    min(valid_at) filter (above > 0.5) as first_hour,
    max(valid_at) filter (above > 0.5) as last_hour,
    max(above) as largest_chance
from threshold_risk('air_temperature_c', 30)
group by station_id
order by hours desc, largest_chance desc, station_id
