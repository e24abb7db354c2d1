-- How good were the forecasts of each station in the 30 days up to the newest score, against each obvious alternative?
-- skill_over_…: 1 - mae / mae of that baseline on the same hours (1 is perfect, 0 no better, below 0 worse); null where the
-- baseline has no scores, because it was not fitted or was itself served.
create or replace view skill_by_station as
with recent as (
    select *
    from scores
    where valid_on > (select max(valid_on) from scores) - 30
),
served as (
    select recent.*
    from recent
    semi join models using (model_id, forecaster)
),
beside as (
    select
        served.station_id,
        served.variable,
        other.forecaster,
        1 - sum(served.n * served.mae) / nullif(sum(other.n * other.mae), 0) as skill
    from served
    join recent as other using (model_id, station_id, variable, lead_hours, valid_on)
    where other.forecaster <> served.forecaster
    group by all
),
skills as (
    select
        station_id,
        variable,
        any_value(skill) filter (forecaster = 'persistence') as skill_over_persistence,
        any_value(skill) filter (forecaster = 'same_hour_yesterday') as skill_over_same_hour_yesterday,
        any_value(skill) filter (forecaster = 'climatology') as skill_over_climatology,
        any_value(skill) filter (forecaster = 'ridge') as skill_over_ridge
    from beside
    group by station_id, variable
),
means as (
    select
        station_id,
        variable,
        min(valid_on) as first_day,
        max(valid_on) as last_day,
        sum(n) as n,
        sum(n * mae) / sum(n) as mae,
        sqrt(sum(n * rmse * rmse) / sum(n)) as rmse,
        sum(n * bias) / sum(n) as bias,
        sum(n * crps) / sum(n) as crps,
        sum(n * coverage_50) / sum(n) as coverage_50,
        sum(n * coverage_80) / sum(n) as coverage_80,
        sum(n * coverage_90) / sum(n) as coverage_90
    from served
    group by station_id, variable
),
final as (
    select *
    from means
    left join skills using (station_id, variable)
)
select * from final
order by station_id, variable;
