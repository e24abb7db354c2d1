-- What others forecast for the stations: known-future inputs of the model.

create table covariates (
    station_id varchar not null,
    issued_at timestamptz not null,
    valid_at timestamptz not null check (valid_at > issued_at),
    received_at timestamptz not null check (received_at >= issued_at),
    batch_id varchar not null,
    row_number uinteger not null,
    air_temperature_c double,
    dew_point_c double,
    relative_humidity_pct double,
    sea_level_pressure_hpa double,
    station_pressure_hpa double,
    wind_speed_m_s double,
    wind_gust_m_s double,
    wind_from_deg double,
    precipitation_mm double
);
comment on table covariates is 'Somebody else''s forecasts for the stations, as delivered; of several receipts of one issue and hour the latest counts from when it came.';
comment on column covariates.issued_at is 'When that forecast was made: a forecast of ours reads it only if this and received_at are at or before its own issue.';
