-- The register of models: promotions, holdout scores, fallbacks, calibrations and drifts.

-- name: delete_calibrations
delete from calibrations
where model_id = $model_id
    and calibrated_at = $calibrated_at;

-- name: delete_fallbacks
delete from fallbacks
where model_id = $model_id;

-- name: delete_holdout_scores
delete from holdout_scores
where model_id = $model_id;

-- name: delete_model
delete from models
where model_id = $model_id;

-- name: insert_model
insert into models by name
select
    $model_id as model_id,
    $forecaster as forecaster,
    $checkpoint as checkpoint,
    $data_hash as data_hash,
    $trained_until::timestamptz as trained_until,
    $registered_at::timestamptz as registered_at,
    'challenger' as role,
    null::timestamptz as promoted_at,
    $reason as reason,
    $decision as decision;

-- name: insert_promotion
insert into promotions by name
select
    $model_id as model_id,
    $promoted_at::timestamptz as promoted_at,
    $promoted_by as promoted_by;

-- name: promote_model
update models
set
    role = 'champion',
    promoted_at = $promoted_at,
    promoted_by = $promoted_by
where model_id = $model_id;

-- name: retire_champion
update models
set role = 'retired'
where role = 'champion';

-- name: select_calibrations
-- The newest calibration of a model at or before $as_of.
select *
from calibrations
where model_id = $model_id
    and calibrated_at = (
        select max(calibrated_at)
        from calibrations
        where model_id = $model_id
            and calibrated_at <= $as_of
    )
order by forecaster;

-- name: select_champion
select *
from models
where role = 'champion';

-- name: select_champions_until
-- The champions up to $until, the newest promotion first; of two at the same moment, the later row comes first.
select models.*
from promotions
join models using (model_id)
where promotions.promoted_at <= $until
order by promotions.promoted_at desc, promotions.rowid desc;

-- name: select_daily_scores
-- Scores of the champion and its baselines since its promotion, by UTC day of validity, pooled over stations and leads.
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
order by variable, forecaster, valid_on;

-- name: select_drift
select * exclude (model_id, found_at)
from drift;

-- name: select_fallbacks
select
    variable,
    station_id,
    forecaster,
    crps_ratio,
    chance,
    days
from fallbacks
where model_id = $model_id
order by variable, station_id nulls first;

-- name: select_holdout_scores
select *
from holdout_scores
where model_id = $model_id
order by forecaster, variable, lead_hours;

-- name: select_judged_crps
select
    variable,
    forecaster,
    sum(n * crps) / sum(n) as crps
from holdout_scores
where model_id = $model_id
group by all
order by variable, forecaster;

-- name: select_models
select *
from models
order by registered_at, model_id;

-- name: select_previous_champion
-- The retired model with the newest promotion; of two promoted at the same moment, the later row.
select models.model_id
from models
left join promotions
    on promotions.model_id = models.model_id
    and promotions.promoted_at = models.promoted_at
where models.role = 'retired'
    and models.promoted_at is not null
order by models.promoted_at desc, promotions.rowid desc nulls last
limit 1;
