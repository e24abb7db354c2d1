-- How good are the forecasts at each lead, against the obvious alternatives?
-- basis 'judged': the champion's scores on the holdout before promotion; 'verified': served forecasts against observations.
-- skill: 1 - mae / mae of the best naive baseline (1 is perfect, 0 no better, below 0 worse).
create or replace view skill_by_lead as
with verified as (
    select
        'verified' as basis,
        model_id,
        forecaster,
        variable,
        lead_hours,
        sum(n) as n,
        sum(n * mae) / sum(n) as mae,
        sqrt(sum(n * rmse * rmse) / sum(n)) as rmse,
        sum(n * bias) / sum(n) as bias,
        sum(n * crps) / sum(n) as crps,
        sum(n * coverage_50) / sum(n) as coverage_50,
        sum(n * coverage_80) / sum(n) as coverage_80,
        sum(n * coverage_90) / sum(n) as coverage_90
    from scores
    group by all
),
judged as (
    select
        'judged' as basis,
        model_id,
        forecaster,
        variable,
        lead_hours,
        n,
        mae,
        rmse,
        bias,
        crps,
        coverage_50,
        coverage_80,
        coverage_90
    from holdout_scores
    semi join champion using (model_id)
),
every_row as (
    select * from verified
    union all by name
    select * from judged
),
naive as (
    select
        basis,
        model_id,
        variable,
        lead_hours,
        min(mae) as least_mae
    from every_row
    where forecaster in ('persistence', 'same_hour_yesterday', 'climatology')
    group by all
),
final as (
    select
        every_row.*,
        1 - mae / nullif(least_mae, 0) as skill
    from every_row
    left join naive using (basis, model_id, variable, lead_hours)  -- a window over a union fails in DuckDB 1.4.0
)
select * from final
order by basis, model_id, forecaster, variable, lead_hours;
