-- The tables of daycast. Times are UTC instants; column names carry the unit; there are no primary keys, because a key index costs
-- several times the disk and the write time: every write deletes by key and inserts in one transaction instead.

create table stations (
    station_id varchar not null,
    name varchar,
    latitude double check (latitude between -90 and 90),
    longitude double check (longitude between -180 and 180),
    elevation_m double
);
comment on table stations is 'Who measures and where; position and elevation are null where unknown.';

create table watermarks (
    source varchar not null,
    received_until timestamptz not null
);
comment on table watermarks is 'Up to which moment of receipt each source has been taken in.';

create table batches (
    batch_id varchar not null,
    source varchar not null,
    origin varchar not null,
    fingerprint varchar not null,
    complete boolean not null,
    received_until timestamptz not null,
    rows_delivered bigint not null,
    rows_kept bigint not null,
    rows_repeated bigint not null,
    rows_refused bigint not null,
    ingested_at timestamptz not null,
    check (rows_delivered = rows_kept + rows_refused),
    check (rows_repeated <= rows_kept)
);
comment on table batches is 'What was ingested, when, from where; delivered = kept + refused, and repeated rows are kept ones that brought no news.';

create table readings (
    station_id varchar not null,
    observed_at timestamptz not null,
    received_at timestamptz not null,
    batch_id varchar not null,
    row_number uinteger not null,
    air_temperature_c double,
    dew_point_c double,
    relative_humidity_pct double,
    sea_level_pressure_hpa double,
    station_pressure_hpa double,
    wind_speed_m_s double,
    wind_from_deg double,
    precipitation_mm double
);
comment on table readings is 'One row as a source delivered it, in daycast''s units, never altered after landing.';

create table rejected_readings (
    batch_id varchar not null,
    row_number uinteger not null,
    column_name varchar not null,
    value varchar,
    reason varchar not null,
    reading varchar not null,
    rejected_at timestamptz not null
);
comment on table rejected_readings is 'Rows that were refused, as they came (JSON), one row for each thing wrong with them.';

create table observation_versions (
    station_id varchar not null,
    observed_at timestamptz not null check (observed_at = date_trunc('hour', observed_at)),
    known_from timestamptz not null check (known_from >= observed_at),
    known_until timestamptz check (known_until > known_from),
    air_temperature_c double,
    air_temperature_c_flag utinyint not null,
    dew_point_c double,
    dew_point_c_flag utinyint not null,
    relative_humidity_pct double,
    relative_humidity_pct_flag utinyint not null,
    sea_level_pressure_hpa double,
    sea_level_pressure_hpa_flag utinyint not null,
    station_pressure_hpa double,
    station_pressure_hpa_flag utinyint not null,
    wind_speed_m_s double,
    wind_speed_m_s_flag utinyint not null,
    wind_from_deg double,
    wind_from_deg_flag utinyint not null,
    precipitation_mm double,
    precipitation_mm_flag utinyint not null
);
comment on table observation_versions is 'What was believed of each station and hour, and from when until when; known_until is null for what is believed now.';
comment on column observation_versions.observed_at is 'The hour it stands for: instantaneous quantities at the hour, sums over the hour ending there.';

create table models (
    model_id varchar not null,
    forecaster varchar not null,
    checkpoint varchar not null,
    data_hash varchar not null,
    trained_until timestamptz not null,
    registered_at timestamptz not null,
    role varchar not null check (role in ('champion', 'challenger', 'retired')),
    promoted_at timestamptz,
    reason varchar not null,
    decision varchar not null
);
comment on table models is 'Every model trained, its role, and why: decision holds the numbers of the judgement as JSON.';
comment on column models.trained_until is 'No row at or after this hour was used in fitting weights, scaler or constants.';

create table judgements (
    model_id varchar not null,
    forecaster varchar not null,
    variable varchar not null,
    lead_hours utinyint not null,
    since timestamptz not null,
    until timestamptz not null,
    n bigint not null,
    mae double,
    rmse double,
    bias double,
    crps double,
    coverage_50 double,
    coverage_80 double,
    coverage_90 double
);
comment on table judgements is 'Scores on the newest weeks, which training never saw, of each challenger, the champion of that day and the baselines.';

create table forecasts (
    station_id varchar not null,
    variable varchar not null,
    issued_at timestamptz not null,
    valid_at timestamptz not null,
    lead_hours utinyint not null check (lead_hours between 1 and 24),
    value double not null,
    q05 double not null,
    q10 double not null,
    q25 double not null,
    q50 double not null,
    q75 double not null,
    q90 double not null,
    q95 double not null,
    model_id varchar not null,
    input_regime varchar not null check (input_regime in ('full', 'gappy', 'stale', 'cold_start')),
    created_at timestamptz not null,
    check (valid_at = issued_at + to_hours(lead_hours))
);
comment on table forecasts is 'The forecasts that were served: a row for each station, variable, hour of issue and lead; value is the median.';
comment on column forecasts.issued_at is 'The hour the forecast is made at; it uses what was observed at or before it and received by then, nothing later.';
comment on column forecasts.input_regime is 'What the model had to work with: full, gappy (holes in the last week), stale (nothing in the last 3 hours), cold_start (under 24 hours in all).';

create table scores (
    model_id varchar not null,
    forecaster varchar not null,
    station_id varchar not null,
    variable varchar not null,
    lead_hours utinyint not null,
    valid_on date not null,
    n bigint not null,
    mae double not null,
    rmse double not null,
    bias double not null,
    crps double not null,
    coverage_50 double not null,
    coverage_80 double not null,
    coverage_90 double not null,
    scored_at timestamptz not null
);
comment on table scores is 'Served forecasts and the baselines beside them against what came, per station, variable, lead and UTC day of validity.';

create table runs (
    run_id varchar not null,
    flow varchar not null,
    as_of timestamptz not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    status varchar not null check (status in ('running', 'done', 'failed')),
    message varchar
);
comment on table runs is 'Every run of a flow: when, as of which moment, and how it ended. A run that was killed stays running.';
