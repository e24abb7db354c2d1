-- What was learned of the quantiles of each model as its forecasts were verified, and from when it holds.

create table calibrations (
    model_id varchar not null,
    forecaster varchar not null,
    calibrated_at timestamptz not null,
    variable varchar not null,
    shift float[] not null,
    stretch float[] not null,
    widening float[] not null
);
comment on table calibrations is 'A quantile becomes median + shift + (quantile - median) * stretch * widening: learned from the last 90 days, used by forecasts issued from calibrated_at on.';
comment on column calibrations.shift is 'In standard deviations of the variable, for each three hours of issue in mean solar time (8), of each lead (24).';
comment on column calibrations.stretch is 'For each three hours of issue in mean solar time (8), of each lead (24), of each quantile (7).';
comment on column calibrations.widening is 'For each input (full, gappy, stale, cold_start, and stale with silent neighbours), of each lead (24), of each quantile (7).';
