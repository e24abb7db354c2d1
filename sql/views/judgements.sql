-- Looking for judgements? The table is called holdout_scores now; this view keeps the previous name for one version.
create or replace view judgements as from holdout_scores;
