-- From now on whoever writes observations marks their days as unverified. What verifications found by themselves until now is
-- marked here once: the days around readings that were received before the last one and ingested after it, of all stations,
-- because a flag that such a reading gives is dated when it was received.

insert into unverified_days by name
with last_verification as (
    select arg_max(as_of, (scored_at, as_of)) as until
    from verifications
    where scored_at <= now()  -- not by a clock that ran ahead
),
moments as (
    select observed_at
    from readings
    join batches using (batch_id)
    where batches.ingested_at > (select until from last_verification)
        and received_at <= (select until from last_verification)
    union all
    select observed_at
    from retracted_readings
    where retracted_at > (select until from last_verification)
),
days as (
    select distinct date_trunc('hour', observed_at + interval 1 hour - interval 1 microsecond)::date + shift as day
    from moments
    cross join (values (-1), (0), (1)) as around (shift)
)
select station_id, day, until as since
from stations
cross join days
cross join last_verification
where day >= (select min(valid_at)::date from forecasts);
