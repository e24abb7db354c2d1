-- How much of each station's day can be trusted? Hours of a UTC day by flag; an hour without any reading counts as missing.
create or replace view data_quality_daily as
with marks as (
    select
        station_id,
        observed_at,
        {marks}
    from observations
),
days as (
    select
        station_id,
        variable,
        make_timestamp(epoch_us(observed_at))::date as day,  -- the UTC day: ten times as fast as a time zone conversion
        count(*) filter (flag in (1, 2)) as good,
        count(*) filter (flag = 3) as suspect,
        count(*) filter (flag = 4) as failed,
        min(observed_at) as first_of_day,
        max(observed_at) as last_of_day
    from marks
    group by all
),
spans as (  -- a window, not a join: with a history in Parquet that of DuckDB 1.5.0 is empty at times
    select
        *,
        min(first_of_day) over (partition by station_id) as first_observed_at,
        max(last_of_day) over (partition by station_id) as last_observed_at
    from days
),
final as (
    select
        station_id,
        variable,
        day,
        good,
        suspect,
        failed,
        date_diff('hour', greatest(day::timestamptz, first_observed_at), least((day + interval 23 hour)::timestamptz, last_observed_at)) + 1
            - good - suspect - failed as missing
    from spans
)
select * from final
order by station_id, variable, day;
