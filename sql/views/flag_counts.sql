-- How many hourly values of each station and variable have which flag, and which check decided it?
-- flag: 1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing (QARTOD).
create or replace view flag_counts as
with marks as (
    select
        station_id,
        observed_at,
        {marks}
    from observations
),
final as (
    select
        station_id,
        variable,
        flag,
        "check",
        count(*) as hours,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at
    from marks
    group by all
)
select * from final
order by station_id, variable, flag, "check";
