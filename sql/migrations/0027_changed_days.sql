-- From now on whoever writes observations marks their days as unverified. What was written before and is dated before the last
-- verification, such as a flag from a reading that came late, is marked here: the days up to three before it, of all stations.

insert into unverified_days by name
select station_id, days.day::date as day, days.until as since
from stations
cross join (
    select until, unnest(range(until - interval 3 day, until + interval 1 day, interval 1 day)) as day
    from (select max(as_of) as until from verifications)
) as days
where days.day >= (select min(valid_at) from forecasts);
