-- How fast does the uncertainty grow with the lead? Mean widths of the 50, 80 and 90 % intervals of the latest forecasts.
select
    variable,
    lead_hours,
    avg(q75 - q25) as width_50,
    avg(q90 - q10) as width_80,
    avg(q95 - q05) as width_90
from latest_forecasts
group by variable, lead_hours
order by variable, lead_hours
