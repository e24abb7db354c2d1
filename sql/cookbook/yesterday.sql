-- How good were yesterday's forecasts, beside the best naive baseline? Yesterday: the UTC day before the newest one that is scored.
with day as (
    select
        variable,
        forecaster,
        bool_or(models.model_id is not null) as served,
        sum(n) as n,
        sum(n * mae) / sum(n) as mae,
        sum(n * bias) / sum(n) as bias,
        sum(n * coverage_80) / sum(n) as coverage_80
    from scores
    left join models using (model_id, forecaster)
    where valid_on = (select max(valid_on) - 1 from scores)
    group by variable, forecaster
),
naive as (
    select
        variable,
        min(mae) as best_naive_mae,
        arg_min(forecaster, mae) as best_naive
    from day
    where forecaster in ('persistence', 'same_hour_yesterday', 'climatology')
    group by variable
),
final as (
    select
        variable,
        forecaster,
        n,
        mae,
        bias,
        coverage_80,
        best_naive,
        best_naive_mae
    from day
    left join naive using (variable)
    where served
)
select * from final
order by variable, forecaster
