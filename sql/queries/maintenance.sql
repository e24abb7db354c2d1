-- What is removed when it is older than it is kept.

-- name: delete_old_forecasts
delete from forecasts
where issued_at < $until;

-- name: delete_old_scores
delete from scores
where valid_on < $until::date;

-- name: select_old_rows
-- How many rows there are from before two moments, the first of them, and the models whose forecasts are not among them.
select
    (select count(*) from forecasts where issued_at < $forecasts_until) as forecasts,
    (select min(issued_at) from forecasts) as first_issued_at,
    (select count(*) from scores where valid_on < $scores_until::date) as scores,
    (select min(valid_on) from scores) as first_valid_on,
    (select list(distinct model_id) from forecasts where issued_at >= $forecasts_until) as models;
