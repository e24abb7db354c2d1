-- Forecasts, external forecasts, and scores.

-- name: delete_forecasts
-- The forecasts of each station, variable and hour of issue in the frame `served`.
delete from forecasts
using (select distinct station_id, variable, issued_at from served) as replaced
where replaced.station_id = forecasts.station_id
    and replaced.variable = forecasts.variable
    and replaced.issued_at = forecasts.issued_at;

-- name: insert_verification
insert into verifications (scored_at, as_of)
values ($scored_at, $as_of);

-- name: delete_later_verifications
-- Records with a later time than this verification's, by a clock that ran ahead or was set back since. The next verification
-- then starts from this one, and scores again what this one scored with less than was known.
delete from verifications
where scored_at > $scored_at;

-- name: delete_scores
-- The scores of each station and day in the frame `days`.
delete from scores
using days
where days.station_id = scores.station_id
    and days.day = scores.valid_on;

-- name: delete_unverified_days
-- What a verification as of $as_of has seen: what was marked up to $seen. Days that had not begun are left to later ones, and days
-- whose forecasts were deleted are left to nobody.
delete from unverified_days
where (since <= $seen and day <= $as_of::date)
    or day < (select min(valid_at)::date from forecasts);

-- name: select_changed_days
-- The days of stations with observations or forecasts of after the last verification. What was dated before that and written
-- since, such as a flag from a reading that came late, is in unverified_days.
with last_verification as (
    select coalesce(arg_max(as_of, (scored_at, as_of)), '-infinity'::timestamptz) as until
    from verifications
    where scored_at <= $now  -- ignores those of a clock that ran ahead: they would hide all changes until then
)
select station_id, observed_at::date as day
from observation_versions
where known_from > (select until from last_verification)
    and observed_at >= (select min(valid_at) from forecasts)
union
select station_id, make_timestamp(epoch_us(valid_at))::date as day  -- ten times as fast as a time zone conversion
from forecasts
where created_at > (select until from last_verification);

-- name: select_days_to_verify
-- The days of stations in the frame `changed` and those that wait to be verified, with their number of forecasts valid up to
-- $as_of. Days that are over come first, for they need it but once, then those that wait longest.
with waiting as (
    select station_id, day, min(since) as since
    from unverified_days
    group by all
),
hours as (  -- hours, not days: a join on the bare column valid_at reads only the matching rows
    select unnest(range(day::timestamptz, (day + 1)::timestamptz, interval 1 hour)) as valid_at
    from (select day from changed union select day from waiting) as days
),
counted as (
    select station_id, make_timestamp(epoch_us(valid_at))::date as day, count(*) as rows
    from forecasts
    semi join hours using (valid_at)
    where valid_at <= $as_of
    group by all
),
due as (
    select counted.*, coalesce(waiting.since, $now) as since
    from counted
    left join waiting using (station_id, day)
    left join changed using (station_id, day)
    where waiting.day is not null
        or changed.day is not null
)
from due
order by day >= $as_of::date, since, day, station_id;

-- name: select_verification_state
-- Until when days are marked as unverified, and which verification is the last: how many there are, and when it was.
select
    (select max(since) from unverified_days) as marked_until,
    (select count(*) from verifications) as recorded,
    (select max(scored_at) from verifications) as last_scored_at;

-- name: select_external_forecast_count
select
    count(*) as n,
    count(distinct station_id) as stations,
    max(issued_at) as newest
from external_forecasts;

-- name: select_external_forecasts
select * exclude (batch_id, row_number)
from external_forecasts
where received_at <= $as_of
    and issued_at between $since and $until
order by
    station_id,
    issued_at,
    valid_at,
    received_at,
    batch_id,
    row_number;

-- name: select_external_forecasts_of_ranges
-- The rows issued in [since, until], for each station in the frame `ranges`.
select external_forecasts.*
from external_forecasts
join ranges
    on ranges.station_id = external_forecasts.station_id
    and external_forecasts.issued_at between ranges.since and ranges.until
where external_forecasts.issued_at between $earliest and $latest;

-- name: select_forecast_count
-- The newest forecasts up to $as_of of the stations that are not retired.
with newest as (
    select
        station_id,
        max(issued_at) as issued_at
    from forecasts
    anti join retired_stations using (station_id)
    where issued_at <= $as_of
    group by station_id
)
select
    max(issued_at) as issued_at,
    count(distinct station_id) as stations,
    list_sort(list(distinct variable)) as variables,
    count(*) filter (implausible) as implausible
from forecasts
join newest using (station_id, issued_at);

-- name: select_forecasts_of_first_stations
-- The forecasts of the newest hour of issue up to $as_of, for the first $stations stations by id that are not retired.
with newest as (
    select max(issued_at) as issued_at
    from forecasts
    anti join retired_stations using (station_id)
    where issued_at <= $as_of
),
shown as (
    select distinct station_id
    from forecasts
    anti join retired_stations using (station_id)
    where issued_at = (select issued_at from newest)
    order by station_id
    limit $stations
),
final as (
    select
        forecasts.* exclude (value, model_id, created_at),
        stations.name
    from forecasts
    left join stations using (station_id)
    where issued_at = (select issued_at from newest)
        and station_id in (select station_id from shown)
)
select * from final
order by station_id, variable, lead_hours;

-- name: select_forecasts_of_issue
-- How many forecast rows an hour of issue has, by station, and how many of them were served in time.
select
    station_id,
    count(*) as rows,
    count(*) filter (not coalesce(backfilled, false)) as served
from forecasts
where issued_at = $issued_at
group by station_id;

-- name: select_forecasts_of_days
-- The served forecasts valid up to $as_of on the days of stations in the frame `days`, and what they are scored by.
with hours as (  -- hours, not days: a join on the bare column valid_at reads only the matching rows
    select
        station_id,
        unnest(range(day::timestamptz, (day + 1)::timestamptz, interval 1 hour)) as valid_at
    from days
)
select
    model_id,
    station_id,
    variable,
    issued_at,
    valid_at,
    lead_hours,
    columns('^q[0-9]+$')
from forecasts
semi join hours using (station_id, valid_at)
where valid_at <= $as_of
    and not coalesce(backfilled, false)
order by model_id, station_id, variable, issued_at, lead_hours;

-- name: select_hours_of_issue
select distinct issued_at
from forecasts
where issued_at >= $since and issued_at < $until;

-- name: select_newest_issues
-- The newest issue of each station after $since and up to $as_of, without stations that are retired.
with newest as (
    select
        station_id,
        max(issued_at) as issued_at
    from forecasts
    anti join retired_stations using (station_id)
    where issued_at > $since
        and issued_at <= $as_of
        and lead_hours = 24
    group by station_id
),
final as (
    select
        station_id,
        variable,
        issued_at,
        valid_at,
        input_regime,
        q05,
        q10,
        q25,
        q50,
        q75,
        q90,
        q95
    from forecasts
    semi join newest using (station_id, issued_at)
    where issued_at > $since
)
select * from final
order by station_id, variable, valid_at;

-- name: select_served_forecasts
-- Which stations, variables and hours of issue in [$first, $last] have forecasts that were served in time.
select distinct
    station_id,
    variable,
    issued_at
from forecasts
where issued_at between $first and $last and not coalesce(backfilled, false);

-- name: select_skill
-- The skill table of the summary, over all leads: verified scores once there are seven days of them, holdout scores until then.
with days as (
    select count(distinct valid_on) as verified
    from scores
    semi join champion using (model_id)
),
final as (
    select
        basis,
        variable,
        forecaster,
        sum(n)::bigint as n,
        sum(n * mae) / sum(n) as mae,
        sqrt(sum(n * rmse * rmse) / sum(n)) as rmse,
        sum(n * bias) / sum(n) as bias,
        sum(n * crps) / sum(n) as crps,
        sum(n * coverage_80) / sum(n) as coverage_80
    from skill_by_lead
    semi join champion using (model_id)
    where basis = if((select verified from days) >= 7, 'verified', 'judged')
    group by all
)
select * from final
order by variable, crps;

-- name: select_skill_by_lead
-- The rows of skill_by_lead for the champion and its baselines, on one basis.
select skill_by_lead.*
from skill_by_lead
semi join champion using (model_id)
where basis = $basis
order by variable, forecaster, lead_hours;

-- name: select_skill_span
-- What the champion's scores rest on: the hours of issue of its holdout, and the number of verified days.
select
    (select min(since) from holdout_scores semi join champion using (model_id)) as holdout_since,
    (select max(until) from holdout_scores semi join champion using (model_id)) as holdout_until,
    (select count(distinct valid_on) from scores semi join champion using (model_id)) as verified_days;

-- name: select_times_of_future_scores
-- When scores were written by a clock that ran ahead.
select distinct scored_at
from scores
where scored_at > $latest;

-- name: select_times_of_scores
-- When the stations and days in the frame `days` were scored.
select distinct scores.scored_at
from scores
inner join days
    on days.station_id = scores.station_id
    and days.day = scores.valid_on;
