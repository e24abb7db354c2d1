-- Looking for substitutes? The table is called fallbacks now; this view keeps the previous name for one version.
create or replace view substitutes as from fallbacks;
