-- How likely is it that a variable falls below, or rises above, a limit in each of the next 24 hours? Frost, gale, heat.
-- below and above are chances, read from the quantiles on straight lines between their levels. Nothing is known beyond the
-- outer ones: 0.05 there means at most 0.05 and 0.95 at least 0.95, and below_text and above_text say so. largest_below and
-- largest_above are the largest of the station's hours: the chance that it happens in any of them is at least that, and at most
-- the sum over them (hours hang together, so mostly nearer the former). Hours that lie ahead of the network's newest issue only.
create or replace macro threshold_risk(of_variable, threshold) as table
with ahead as (
    select
        *,
        [0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95]::double[] as levels,
        [q05, q10, q25, q50, q75, q90, q95] as quantiles
    from latest_forecasts
    where latest_forecasts.variable = of_variable
        and valid_at > (select max(issued_at) from latest_forecasts)
),
counted as (
    select
        *,
        len([quantile for quantile in quantiles if quantile < threshold]) as under,
        len([quantile for quantile in quantiles if quantile <= threshold]) as not_over
    from ahead
),
chances as (
    select
        *,
        case under
            when 0 then 0.05
            when 7 then 0.95
            else levels[under]
                + (levels[under + 1] - levels[under]) * (threshold - quantiles[under]) / (quantiles[under + 1] - quantiles[under])
        end as below,
        1 - case not_over
            when 0 then 0.05
            when 7 then 0.95
            else levels[not_over]
                + (levels[not_over + 1] - levels[not_over])
                    * (threshold - quantiles[not_over]) / (quantiles[not_over + 1] - quantiles[not_over])
        end as above
    from counted
),
final as (
    select
        station_id,
        issued_at,
        valid_at,
        lead_hours,
        below,
        above,
        case under when 0 then '<= 0.05' when 7 then '>= 0.95' else format('{:.2f}', below) end as below_text,
        case not_over when 0 then '>= 0.95' when 7 then '<= 0.05' else format('{:.2f}', above) end as above_text,
        max(below) over (partition by station_id) as largest_below,
        max(above) over (partition by station_id) as largest_above
    from chances
)
select * from final
order by station_id, lead_hours;
