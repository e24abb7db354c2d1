-- Some stations' months (all but those before $earliest) as they were known when each month ended: {sums} of every variable.
-- Months are those of UTC, by make_timestamp: a calendar of time zones takes ten times as long.
with believed as (
    select
        *,
        date_trunc('month', make_timestamp(epoch_us(observed_at)))::date as month,
        (date_trunc('month', make_timestamp(epoch_us(observed_at))) + interval 1 month)::timestamptz as month_end
    from observation_versions
    where observed_at >= $earliest
        and observed_at < $latest
)
select
    believed.station_id,
    believed.month,
    {sums}
from believed
semi join months
    on months.station_id = believed.station_id
    and months.month = believed.month
where known_from < month_end
    and (known_until is null or known_until >= month_end)
group by
    believed.station_id,
    believed.month
