-- Retention: rows that are older than the configured limits.

-- name: delete_old_forecasts
delete from forecasts
where issued_at < $until;

-- name: delete_old_scores
delete from scores
where valid_on < $until::date;

-- name: select_old_rows
-- How many forecasts and scores are older than the limits, when they were issued and scored, and the models that still have newer
-- forecasts.
select
    (select count(*) from forecasts where issued_at < $forecasts_until) as forecasts,
    (select list(distinct issued_at) from forecasts where issued_at < $forecasts_until) as issued_at,
    (select count(*) from scores where valid_on < $scores_until::date) as scores,
    (select list(distinct scored_at) from scores where valid_on < $scores_until::date) as scored_at,
    (select list(distinct model_id) from forecasts where issued_at >= $forecasts_until) as models;
