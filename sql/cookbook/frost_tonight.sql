-- Where may it freeze in the next 24 hours, when is that likeliest, and how cold may it get? For 0 °C; riskiest stations first.
select
    risk.station_id,
    max(below) as chance,
    arg_max(below_text, (below, -latest_forecasts.lead_hours)) as chance_text,
    arg_max(risk.valid_at, (below, -latest_forecasts.lead_hours)) as likeliest_at,
    min(q05) as coldest_q05,
    min(value) as coldest_median
from threshold_risk('air_temperature_c', 0) as risk
join latest_forecasts using (station_id, valid_at)
where latest_forecasts.variable = 'air_temperature_c'
group by risk.station_id
order by chance desc, risk.station_id
