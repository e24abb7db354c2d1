-- In which of the next 24 hours is a mean wind above 17.2 m/s (Beaufort 8) more than 5 % likely, and where?
-- chance is null where it is above 0.95, the outermost quantile.
select
    station_id,
    valid_at,
    above as chance,
    above_text as chance_text
from threshold_risk('wind_speed_m_s', 17.2)
where above_at_most > 0.05
order by station_id, valid_at
