-- The former name of fallbacks, for one version: use fallbacks.
create or replace view substitutes as from fallbacks;
