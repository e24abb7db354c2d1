-- The former name of external_forecasts, for one version: use external_forecasts.
create or replace view covariates as from external_forecasts;
