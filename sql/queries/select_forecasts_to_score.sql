-- Forecasts of hours up to $as_of whose day of validity saw a new reading, a correction, another flag or a new forecast since scores were last written.
-- A reading that reached us later than it says gives values up to a day before and after it flags that date from then too.
with last_scored as (
    select coalesce(max(coalesce(as_of, scored_at)), '-infinity'::timestamptz) as scored_at
    from scores
    where scored_at <= $now  -- scores that a clock ahead of time wrote would keep all others away until then
),
changed as (
    select date_trunc('hour', readings.observed_at + interval 1 hour - interval 1 microsecond)::date + shift as day
    from readings
    join batches using (batch_id)
    cross join (values (-1), (0), (1)) as around (shift)
    where batches.ingested_at > (select scored_at from last_scored)
        and (shift = 0 or readings.received_at <= (select scored_at from last_scored))
    union
    select observed_at::date as day
    from observation_versions
    where known_from > (select scored_at from last_scored)
    union
    select valid_at::date as day
    from forecasts
    where created_at > (select scored_at from last_scored)
),
hours as (  -- not days: what is joined by a column as it stands finds its rows without reading all that ever were
    select unnest(range(day::timestamptz, (day + 1)::timestamptz, interval 1 hour)) as valid_at
    from changed
),
final as (
    select forecasts.*
    from forecasts
    semi join hours using (valid_at)
    join observations
        on observations.station_id = forecasts.station_id
        and observations.observed_at = forecasts.valid_at
    where forecasts.valid_at <= $as_of
)
select * from final
order by model_id, station_id, variable, issued_at, lead_hours
