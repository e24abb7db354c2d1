-- The former name of holdout_scores, for one version: use holdout_scores.
create or replace view judgements as from holdout_scores;
