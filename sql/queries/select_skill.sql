-- The skill table of the summary, all leads together: verified once there is a week of it, as judged before promotion until then.
with days as (
    select count(distinct valid_on) as verified
    from scores
    semi join champion using (model_id)
),
final as (
    select
        basis,
        variable,
        forecaster,
        sum(n)::bigint as n,
        sum(n * mae) / sum(n) as mae,
        sqrt(sum(n * rmse * rmse) / sum(n)) as rmse,
        sum(n * bias) / sum(n) as bias,
        sum(n * crps) / sum(n) as crps,
        sum(n * coverage_80) / sum(n) as coverage_80
    from skill_by_lead
    semi join champion using (model_id)
    where basis = if((select verified from days) >= 7, 'verified', 'judged')
    group by all
)
select * from final
order by variable, crps
