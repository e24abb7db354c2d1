-- Looking for covariates? The table is called external_forecasts now; this view keeps the previous name for one version.
create or replace view covariates as from external_forecasts;
