-- Adds up some stations' months as they were known when each month ended, failed values ($fail or worse) left out; a month of
-- which nothing is known is there with n = 0. {value} and {flag} are the columns of the variable.
insert into month_statistics by name
with believed as (
    select
        observation_versions.station_id,
        months.month,
        case when {flag} < $fail then {value} end as value
    from observation_versions
    join months
        on months.station_id = observation_versions.station_id
        and months.month = date_trunc('month', observation_versions.observed_at)::date
    where observation_versions.observed_at >= $earliest
        and observation_versions.observed_at < $latest
        and known_from < months.month + interval 1 month
        and (known_until is null or known_until >= months.month + interval 1 month)
),
sums as (
    select
        station_id,
        month,
        count(value) as n,
        avg(value) as mean,
        stddev_pop(value) as deviation
    from believed
    group by
        station_id,
        month
),
final as (
    select
        station_id,
        month,
        $variable as variable,
        coalesce(n, 0) as n,
        mean,
        deviation
    from months
    left join sums using (station_id, month)
)
select * from final
