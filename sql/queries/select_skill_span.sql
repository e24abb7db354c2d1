-- What the scores of the champion rest on: the hours of issue it was judged on, and the days it was verified on.
select
    (select min(since) from judgements semi join champion using (model_id)) as judged_since,
    (select max(until) from judgements semi join champion using (model_id)) as judged_until,
    (select count(distinct valid_on) from scores semi join champion using (model_id)) as verified_days
