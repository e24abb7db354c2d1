-- How likely is it that a variable falls below, or rises above, a limit in each of the next 24 hours? Frost, gale, heat.
-- below and above are chances, read from the quantiles on straight lines between their levels. Beyond the outer quantiles nothing is
-- known except a bound: below and above are null there, and the text says <= 0.05 or >= 0.95. The chance always lies from
-- below_at_least to below_at_most (above likewise): filter and sort by these. largest_below and largest_above are the largest
-- …_at_least of the station's hours: the chance that it happens in any of them is at least that. Hours that lie ahead of the network's
-- newest issue only. A variable that is not forecast is an error. attached_as: the name under which the file is attached, if it is
-- not the current database.
create or replace macro threshold_risk(of_variable, threshold, attached_as := '') as table
select  -- subqueries, because DuckDB 1.4.0 and 1.4.1 lose common table expressions in a macro
    station_id,
    issued_at,
    valid_at,
    lead_hours,
    below,
    above,
    case under when 0 then 0 when 7 then 0.95 else below end::double as below_at_least,
    case under when 0 then 0.05 when 7 then 1 else below end::double as below_at_most,
    case not_over when 0 then 0.95 when 7 then 0 else above end::double as above_at_least,
    case not_over when 0 then 1 when 7 then 0.05 else above end::double as above_at_most,
    case under when 0 then '<= 0.05' when 7 then '>= 0.95' else format('{:.2f}', below) end as below_text,
    case not_over when 0 then '>= 0.95' when 7 then '<= 0.05' else format('{:.2f}', above) end as above_text,
    max(below_at_least) over (partition by station_id) as largest_below,
    max(above_at_least) over (partition by station_id) as largest_above
from (
    select
        *,
        case when under between 1 and 6 then below_levels[under]
            + (below_levels[under + 1] - below_levels[under])
                * (threshold::double - quantiles[under]) / (quantiles[under + 1] - quantiles[under])
        end as below,
        case when not_over between 1 and 6 then above_levels[not_over]
            + (above_levels[not_over + 1] - above_levels[not_over])
                * (threshold::double - quantiles[not_over]) / (quantiles[not_over + 1] - quantiles[not_over])
        end as above
    from (
        select
            station_id,
            issued_at,
            valid_at,
            lead_hours,
            [0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95]::double[] as below_levels,
            [0.95, 0.90, 0.75, 0.50, 0.25, 0.10, 0.05]::double[] as above_levels,
            [q05, q10, q25, q50, q75, q90, q95] as quantiles,
            (q05 < threshold::double)::int + (q10 < threshold::double)::int + (q25 < threshold::double)::int
                + (q50 < threshold::double)::int + (q75 < threshold::double)::int + (q90 < threshold::double)::int
                + (q95 < threshold::double)::int as under,
            (q05 <= threshold::double)::int + (q10 <= threshold::double)::int + (q25 <= threshold::double)::int
                + (q50 <= threshold::double)::int + (q75 <= threshold::double)::int + (q90 <= threshold::double)::int
                + (q95 <= threshold::double)::int as not_over
        from (
            select
                case
                    when count(*) = 0 or count(*) filter (variable = of_variable) > 0 then of_variable
                    else error(
                        'threshold_risk: nothing is forecast of ' || coalesce(of_variable, 'null') || '; there are forecasts of '
                        || string_agg(distinct variable, ', ' order by variable)
                    )
                end as wanted,
                max(issued_at) as newest
            from query({attached} || 'latest_forecasts')
        ) as asked
        join query({attached} || 'latest_forecasts') as latest on variable = wanted and valid_at > newest
    )
)
order by station_id, lead_hours;
