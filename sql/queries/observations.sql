-- Observations, stale hours (to be computed again), neighbours, and statistics of past months.

-- name: delete_month_statistics
-- The statistics of every month that one of the frame `ranges` touches.
delete from month_statistics
using ranges
where ranges.station_id = month_statistics.station_id
    and month_statistics.month between date_trunc('month', ranges.since) and ranges.until;

-- name: delete_neighbours
delete from neighbours;

-- name: delete_observation_versions
delete from observation_versions
using hours
where hours.station_id = observation_versions.station_id
    and hours.observed_at = observation_versions.observed_at;

-- name: delete_stale_hours
delete from stale_hours
using ranges
where ranges.station_id = stale_hours.station_id
    and stale_hours.since >= ranges.since
    and stale_hours.until <= ranges.until;

-- name: insert_unverified_days
-- The days of the frame `hours` for which there are forecasts. Each call has a later time than all before it, whatever the clock
-- says: so a verification knows which of them it has seen.
insert into unverified_days by name
select distinct
    station_id,
    make_timestamp(epoch_us(observed_at))::date as day,
    greatest($now, (select max(since) + interval 1 microsecond from unverified_days)) as since
from hours
where observed_at >= (select min(valid_at) from forecasts);

-- name: insert_stale_hours_after
-- All existing observations from `boundary` on of each station in the frame `later`: their climatology changed.
insert into stale_hours by name
select
    station_id,
    min(observed_at) as since,
    max(observed_at) as until
from observation_versions
join later using (station_id)
where observed_at >= later.boundary
group by
    station_id,
    date_trunc('month', observed_at);

-- name: insert_stale_hours_of_neighbours
-- The stale hours of each station become stale for every station that is compared with it.
insert into stale_hours by name
select
    neighbours.station_id,
    stale_hours.since,
    stale_hours.until
from stale_hours
join neighbours
    on neighbours.neighbour_id = stale_hours.station_id;

-- name: select_extent
-- Of the stations in the frame `serving`.
select
    min(observed_at) as first_observed_at,
    max(observed_at) as last_observed_at
from observation_versions
semi join serving using (station_id)
where known_from <= $as_of;

-- name: select_first_values
-- The first hour at which any station in the frame `chosen` has a usable value, as known at $as_of; {first} stands for the columns.
select {first}
from observation_versions
semi join chosen using (station_id)
where known_from <= $as_of
    and (known_until is null or known_until > $as_of);

-- name: select_first_month
select date_trunc('month', min(observed_at))::date
from observation_versions;

-- name: select_hours_observed
-- How many hours from $since on each station in the frame `chosen` has an observation of, as known at $as_of.
select
    station_id,
    count(distinct observed_at) as hours
from observation_versions
semi join chosen using (station_id)
where
    observed_at >= $since
    and known_from <= $as_of
group by station_id
order by station_id;

-- name: select_month_statistics
select month_statistics.*
from month_statistics
semi join months using (station_id, month);

-- name: select_month_sums
-- Statistics of the months in the frame `months`, as known when each month ended; {sums} stands for the columns of every variable.
-- Months are UTC months, computed with make_timestamp: a time zone conversion takes ten times as long.
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
    believed.month;

-- name: select_neighbours
select
    station_id,
    neighbour_id,
    rank
from neighbours
order by
    station_id,
    rank;

-- name: select_newly_silent_stations
-- Stations with no observation since $since, as known at $now, that had one since $since_before.
select
    station_id,
    max(observed_at) as last_observed_at
from observation_versions
anti join retired_stations using (station_id)
where known_from <= $now
group by station_id
having max(observed_at) < $since
    and max(observed_at) >= $since_before
order by station_id;

-- name: select_readings_of_ranges
-- The readings that make up the hours [since, until] of each station in the frame `ranges`.
select readings.*
from readings
join ranges
    on ranges.station_id = readings.station_id
    and readings.observed_at > ranges.since - interval 1 hour
    and readings.observed_at <= ranges.until
where readings.observed_at between $earliest and $latest;

-- name: select_recent_observations
-- The observations in [since, until] of one station, or of every station where $station is null.
select *
from observations
where ($station is null or station_id = $station)
    and observed_at between $since and $until
order by station_id, observed_at;

-- name: select_reported
-- Which stations in the frame `chosen` have a usable value, as known at $as_of; {reported} stands for the columns of variables.
select
    station_id,
    {reported}
from observation_versions
semi join chosen using (station_id)
where known_from <= $as_of
    and (known_until is null or known_until > $as_of)
group by station_id;

-- name: select_silent_stations
-- Stations with no observation since $since, as known at $now; last_observed_at is null if they never had one.
with heard as (
    select
        station_id,
        max(observed_at) as last_observed_at
    from observation_versions
    where known_from <= $now
    group by station_id
),
final as (
    select
        station_id,
        last_observed_at
    from stations
    left join heard using (station_id)
    anti join retired_stations using (station_id)
    where last_observed_at is null
        or last_observed_at < $since
)
select * from final
order by last_observed_at nulls first, station_id;

-- name: select_stale_hours
-- The stale hours as one range per station and month.
select
    station_id,
    min(since) as since,
    max(until) as until
from stale_hours
group by
    station_id,
    date_trunc('month', since)
order by
    date_trunc('month', since),
    station_id;

-- name: select_station_coverage
-- The same as the view station_coverage, of the observations up to $as_of, without stations that are retired.
with observed as (
    select
        station_id,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at,
        count(*) as hours_observed
    from observations
    where observed_at <= $as_of
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
anti join retired_stations using (station_id)
order by station_id;

-- name: select_stations
select
    station_id,
    latitude,
    longitude,
    elevation_m
from stations
order by station_id;

-- name: select_versions
-- Without the columns that name checks. {of_stations}: a join with the stations to read, or nothing.
select
    * exclude (known_until) not like '%\_check' escape '\',
    case when known_until <= $as_of then known_until end as known_until
from observation_versions
{of_stations}
where known_from <= $as_of
    and observed_at between $since and $until
order by
    station_id,
    observed_at,
    known_from;

-- name: select_versions_of_ranges
-- The versions of the hours [since, until] of each station in the frame `ranges`.
select observation_versions.*
from observation_versions
join ranges
    on ranges.station_id = observation_versions.station_id
    and observation_versions.observed_at between ranges.since and ranges.until
where observation_versions.observed_at between $earliest and $latest;

-- name: insert_thresholds
insert into thresholds
values ($since, $limits, $is_applied);

-- name: select_thresholds
select
    since,
    limits,
    is_applied
from thresholds
order by since;

-- name: update_thresholds_applied
update thresholds
set is_applied = true
where not is_applied;
