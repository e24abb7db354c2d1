-- What each value's flag rests on, what is still to be checked, and what each station's past months were like.

alter table observation_versions add column air_temperature_c_check varchar;
alter table observation_versions add column dew_point_c_check varchar;
alter table observation_versions add column relative_humidity_pct_check varchar;
alter table observation_versions add column sea_level_pressure_hpa_check varchar;
alter table observation_versions add column station_pressure_hpa_check varchar;
alter table observation_versions add column wind_speed_m_s_check varchar;
alter table observation_versions add column wind_from_deg_check varchar;
alter table observation_versions add column precipitation_mm_check varchar;

alter table readings add column wind_gust_m_s double;
alter table observation_versions add column wind_gust_m_s double;
alter table observation_versions add column wind_gust_m_s_flag utinyint default 9;
alter table observation_versions add column wind_gust_m_s_check varchar;

alter table batches add column rows_revised bigint default 0;
comment on column batches.rows_revised is 'Kept rows that said something new of an instant that was known already: corrections.';

create table stale_hours (
    station_id varchar not null,
    since timestamptz not null,
    until timestamptz not null,
    check (since <= until)
);
comment on table stale_hours is 'Hours, both ends included, whose observations must be made again from the readings; what a killed run left is done by the next.';

create table neighbours (
    station_id varchar not null,
    neighbour_id varchar not null,
    rank utinyint not null
);
comment on table neighbours is 'The stations that each one is compared with, nearest first.';

create table month_statistics (
    station_id varchar not null,
    month date not null,
    variable varchar not null,
    n bigint not null,
    mean double,
    deviation double
);
comment on table month_statistics is 'What a station measured in a month, as known when that month ended, failed values left out: its own climatology.';
