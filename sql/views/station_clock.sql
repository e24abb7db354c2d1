-- Does each station report in UTC? Compares the warmest hour of its days, over the last 30 days, with the usual one: two and a half
-- hours after solar noon. A clock that runs on local time shows as an offset of that many hours.
create or replace view station_clock as
with recent as (
    select
        station_id,
        observed_at,
        air_temperature_c
    from observations
    where air_temperature_c_flag < 4
        and observed_at > (select max(observed_at) from observations) - interval 30 day
),
hourly as (
    select
        station_id,
        extract('hour' from observed_at) as hour,
        avg(air_temperature_c) as warmth,
        count(*) as n
    from recent
    group by all
),
harmonic as (
    select
        station_id,
        sum(n) as hours,
        sum(warmth * cos(hour * pi() / 12)) / 12 as cosine,
        sum(warmth * sin(hour * pi() / 12)) / 12 as sine
    from hourly
    group by station_id
    having count(*) = 24
        and sum(n) >= 240
),
phases as (
    select
        station_id,
        hours,
        sqrt(cosine ** 2 + sine ** 2) as amplitude_c,
        atan2(sine, cosine) * 12 / pi() + longitude / 15 as warmest_by_the_sun
    from harmonic
    join stations using (station_id)
),
final as (
    select
        station_id,
        hours,
        amplitude_c,
        (warmest_by_the_sun + 48) % 24 as warmest_by_the_sun_h,
        (warmest_by_the_sun - 14.5 + 60) % 24 - 12 as offset_h,
        amplitude_c >= 1 and abs((warmest_by_the_sun - 14.5 + 60) % 24 - 12) >= 3.5 as suspect
    from phases
)
select * from final
order by station_id;
