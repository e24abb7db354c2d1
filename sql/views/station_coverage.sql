-- Which stations report, since when, until when, and what share of the hours between has an observation?
create or replace view station_coverage as
with observed as (
    select
        station_id,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at,
        count(*) as hours_observed
    from observations
    group by station_id
),
final as (
    select
        stations.*,
        first_observed_at,
        last_observed_at,
        coalesce(hours_observed, 0) as hours_observed,
        hours_observed / (date_diff('hour', first_observed_at, last_observed_at) + 1) as share_observed
    from stations
    left join observed using (station_id)
)
select * from final
order by station_id;
