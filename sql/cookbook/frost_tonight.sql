-- Where may it freeze in the next 24 hours, when is that likeliest, and how cold may it get? For 0 °C; riskiest stations first.
-- chance is null where only chance_text is known.
with hours as (
    select
        risk.*,
        q05,
        value,
        row_number() over (
            partition by risk.station_id order by below_at_least desc, below_at_most desc, risk.lead_hours
        ) as place
    from threshold_risk('air_temperature_c', 0) as risk
    join latest_forecasts using (station_id, valid_at)
    where variable = 'air_temperature_c'
),
final as (
    select
        station_id,
        max(below) filter (place = 1) as chance,
        max(below_text) filter (place = 1) as chance_text,
        max(valid_at) filter (place = 1) as likeliest_at,
        min(q05) as coldest_q05,
        min(value) as coldest_median,
        max(below_at_least) as at_least
    from hours
    group by station_id
)
select * exclude (at_least)
from final
order by at_least desc, station_id
