-- What the champion served and the baselines beside it, pooled over stations and leads, by UTC day of validity since its promotion.
select
    variable,
    forecaster,
    valid_on,
    sum(n)::bigint as n,
    sum(n * crps) / sum(n) as crps,
    sum(n * coverage_80) / sum(n) as coverage_80
from scores
where model_id = $model_id
    and valid_on between $since::date and $until::date
    and valid_on > $promoted_at::date
group by all
order by variable, forecaster, valid_on
