-- Tables, values and keys in the field's own words. Views keep the old names of the tables for one version.

alter table covariates rename to external_forecasts;
alter table judgements rename to holdout_scores;
alter table substitutes rename to fallbacks;

update unpublished set table_name = 'external_forecasts' where table_name = 'covariates';
update models set decision = replace(decision, '"substitutes":', '"fallbacks":');
update models set promoted_by = 'holdout' where promoted_by = 'judgement';
update promotions set promoted_by = 'holdout' where promoted_by = 'judgement';
comment on table models is 'Every model trained, its role, and why: decision holds the numbers of its holdout as JSON.';
comment on table fallbacks is 'Where a baseline of the same fit serves in a model''s place, because the holdout proved it better.';
comment on column drifts.bound is 'What the measure had to keep to: for skill from the ratio on the holdout before promotion.';
comment on column models.promoted_by is 'How it last came to serve: holdout, hand or rollback; null where it never did, or before this was kept.';
comment on column promotions.promoted_by is 'How: holdout, hand or rollback; null where it was before this was kept.';

-- for each check column:
update observation_versions set {check} = 'rate_of_change' where {check} = 'step';
