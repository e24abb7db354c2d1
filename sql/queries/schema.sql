-- Migrations, tables, views, and the meanings of columns, which become comments in the database.

-- name: create_migrations
create table if not exists migrations (
    name varchar not null,
    checksum varchar not null,
    applied_at timestamptz not null
);

-- name: insert_migration
insert into migrations
values ($name, $checksum, $applied_at);

-- name: select_column_meanings
-- The meaning of each column name, the same in every table and view; TABLE.COLUMN where it means something else.
select
    name,
    meaning
from (values
    ('amplitude_c', 'Half the mean difference between the warmest and the coldest hour of the day, in °C.'),
    ('as_of', 'The run used nothing received or issued later.'),
    ('backfilled', 'Whether it was made after its first hour had passed; such forecasts are not scored.'),
    ('basis', 'judged: on the holdout before promotion; verified: served forecasts against observations.'),
    ('batch_id', 'The batch it was loaded with; see batches.'),
    ('begun_at', 'When it began.'),
    ('below_05', 'Share of observations at or below q05; 0.05 where it is honest.'),
    ('below_10', 'Share of observations at or below q10; 0.1 where it is honest.'),
    ('below_25', 'Share of observations at or below q25; 0.25 where it is honest.'),
    ('below_50', 'Share of observations at or below q50, the median; 0.5 where it is honest.'),
    ('below_75', 'Share of observations at or below q75; 0.75 where it is honest.'),
    ('below_90', 'Share of observations at or below q90; 0.9 where it is honest.'),
    ('below_95', 'Share of observations at or below q95; 0.95 where it is honest.'),
    ('bias', 'Mean error of the median, forecast minus observation, in the variable''s unit.'),
    ('bound', 'The limit of the measure; for skill it derives from the ratio on the holdout.'),
    ('chance', 'The probability that it will be better than whoever would serve otherwise.'),
    ('check', 'The check that decided the flag; null where none did.'),
    ('checkpoint', 'The file of the model, in the folder of checkpoints.'),
    ('column_name', 'The column of the source that could not be read.'),
    ('complete', 'Whether all of the batch was loaded.'),
    ('coverage_50', 'Share of observations within q25 to q75; 0.5 where the interval is honest.'),
    ('coverage_80', 'Share of observations within q10 to q90; 0.8 where the interval is honest.'),
    ('coverage_90', 'Share of observations within q05 to q95; 0.9 where the interval is honest.'),
    ('created_at', 'When the row was written.'),
    ('crps', 'Mean continuous ranked probability score from the seven quantiles, in the variable''s unit; smaller is better.'),
    ('crps_ratio', 'Its CRPS divided by that of the model that would serve otherwise.'),
    ('data_hash', 'The hash of the data it was trained on.'),
    ('day', 'The UTC day.'),
    ('days', 'How many days were compared.'),
    ('decision', 'The numbers behind the decision on the holdout, as JSON.'),
    ('drift.days', 'How many days were scored from since to until.'),
    ('drift.observed', 'The measure over those days: a ratio above its bound, or a share below it.'),
    ('drift.p_value', 'How likely such days are by chance if the measure is at its bound.'),
    ('drift.since', 'The first UTC day of validity in the window.'),
    ('drift.until', 'The last UTC day of validity in the window.'),
    ('elevation_m', 'Metres above sea level; null where unknown.'),
    ('ended_at', 'When it was done.'),
    ('error', 'value minus observed.'),
    ('failed', 'Hours whose value failed its checks.'),
    ('fingerprint', 'The hash that identifies the content of a batch.'),
    ('finished_at', 'When it ended; null while it runs and if it was killed.'),
    ('file', 'Relative to the folder of the history, which is named as the published file without its suffix.'),
    ('first_day', 'The first UTC day that is counted.'),
    ('first_observed_at', 'The first hour observed.'),
    ('flag', 'QARTOD''s: 1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing.'),
    ('flow', 'Which flow ran.'),
    ('follows', 'The publication that this one was made from; null if it was made from scratch.'),
    ('forecaster', 'gru, lstm, … for a model, or the name of a baseline.'),
    ('found_at', 'When it was found; it ends when a champion is promoted later.'),
    ('good', 'Hours whose value is good or was not evaluated.'),
    ('hours', 'How many hours.'),
    ('hours_observed', 'How many hours have an observation.'),
    ('implausible', 'Whether the median lies far outside anything observed there; null if not examined.'),
    ('ingested_at', 'When it was loaded.'),
    ('input_regime', 'What the model had to work with: full, gappy, stale, cold_start.'),
    ('is_applied', 'Whether all hours that were there are checked by them.'),
    ('issued_at', 'The hour the forecast is made at; it uses nothing observed or received later.'),
    ('history_files.since', 'Start of the file''s time range; it holds all rows in the range.'),
    ('history_files.until', 'End of the file''s time range, exclusive.'),
    ('known_from', 'From when on this version was the current one.'),
    ('known_until', 'Until when this version was the current one; null if it still is.'),
    ('last_day', 'The last UTC day that is counted.'),
    ('last_observed_at', 'The last hour observed.'),
    ('latitude', 'Degrees north; null where unknown.'),
    ('layout', 'A hash of the columns of the append-only tables.'),
    ('lead_hours', 'Hours from issued_at to valid_at, 1 to 24.'),
    ('limits', 'The thresholds of every variable, as JSON.'),
    ('longitude', 'Degrees east; null where unknown.'),
    ('mae', 'Mean absolute error of the median, in the variable''s unit.'),
    ('mapping', 'What stands for how it was read: batches with the same value were read alike.'),
    ('mappings.mapping', 'The settings that say how the source is read, as JSON.'),
    ('measure', 'skill: CRPS divided by that of the best baseline of those days; coverage: share of observations within q10 to q90.'),
    ('message', 'What went wrong; null where nothing did.'),
    ('missing', 'Hours that have no value.'),
    ('model_id', 'The model, see models; a baseline has the id of the model it was fitted with.'),
    ('n', 'How many forecasts were compared with an observation.'),
    ('name', 'The name that people use for the station.'),
    ('observed', 'The observation at valid_at, as known now.'),
    ('observed_at', 'The hour it stands for: instantaneous quantities at the hour, sums over the hour ending there.'),
    ('offset_h', 'Hours by which the station''s clock seems to differ from UTC.'),
    ('origin', 'The file or address it came from.'),
    ('promoted_at', 'When it last became champion.'),
    ('promoted_by', 'How it last became champion: holdout, hand or rollback.'),
    ('publication_id', 'A new one each time the file is made.'),
    ('q05', 'The 5 % quantile: 5 in 100 observations should lie below.'),
    ('q10', 'The 10 % quantile.'),
    ('q25', 'The 25 % quantile.'),
    ('q50', 'The median; equal to value.'),
    ('q75', 'The 75 % quantile.'),
    ('q90', 'The 90 % quantile.'),
    ('q95', 'The 95 % quantile: 5 in 100 observations should lie above.'),
    ('reading', 'The whole row as delivered, as JSON.'),
    ('receipt', 'stated: the source says when each row was received; assumed: the observation plus reporting_delay.'),
    ('received_at', 'When it could first have been known.'),
    ('reason', 'Why the model has its role.'),
    ('received_until', 'The time of receipt up to which the source was loaded.'),
    ('registered_at', 'When the model was registered.'),
    ('rejected_at', 'When the row was rejected.'),
    ('rejected_readings.reason', 'What is wrong with the value.'),
    ('rejected_readings.value', 'The value as it came.'),
    ('batches.header', 'The names in the header of its file as JSON, if columns are read by their position.'),
    ('rereads.since', 'Only what was observed from then on; null: everything.'),
    ('restatements.mapping', 'The settings that say how the source is read, as JSON.'),
    ('restatements.since', 'Only what was observed from then on; null: everything.'),
    ('retracted_at', 'When it was found to have been read wrongly.'),
    ('rival', 'The baseline that skill is measured against; null for coverage.'),
    ('rmse', 'Root mean square error of the median, in the variable''s unit.'),
    ('role', 'champion serves, challenger was not promoted, retired served before.'),
    ('row_number', 'The row within the batch, from 0.'),
    ('rows', 'How many rows.'),
    ('rows_delivered', 'Rows that the source delivered: kept plus refused.'),
    ('rows_kept', 'Rows that were loaded.'),
    ('rows_left', 'Rows that could not be read again, and stay as they are.'),
    ('rows_refused', 'Rows that were rejected, see rejected_readings.'),
    ('rows_repeated', 'Kept rows that brought nothing new.'),
    ('rows_retracted', 'Rows that were read wrongly.'),
    ('rows_revised', 'Kept rows that corrected what was known.'),
    ('run_id', 'The run.'),
    ('scored_at', 'When the score was written.'),
    ('share_observed', 'Share of the hours from the first to the last that have an observation.'),
    ('since', 'The first hour of issue of the holdout.'),
    ('skill', '1 - mae / mae of the best naive baseline: 1 perfect, 0 no better, below 0 worse.'),
    ('skill_over_climatology', '1 - mae / mae of the station''s usual value at that hour.'),
    ('skill_over_persistence', '1 - mae / mae of the last observed value.'),
    ('skill_over_ridge', '1 - mae / mae of the linear regression.'),
    ('skill_over_same_hour_yesterday', '1 - mae / mae of the value 24 hours before.'),
    ('source', 'The name of the source in the configuration.'),
    ('started_at', 'When it began.'),
    ('station_clock.hours', 'How many hours the estimate rests on.'),
    ('station_clock.suspect', 'Whether the offset is too large to be the weather''s.'),
    ('station_id', 'The station, see stations.'),
    ('status', 'running, done or failed; a killed run stays running until the next run of its flow starts.'),
    ('superseded_at', 'When a later batch brought another content of the same origin, or the source was read again; null for the newest.'),
    ('suspect', 'Hours whose value is suspect.'),
    ('table_name', 'The table whose history it is.'),
    ('thresholds.since', 'From when on they are in force.'),
    ('trained_until', 'No row at or after this hour was used in training.'),
    ('until', 'The end of the hours of issue of the holdout, exclusive.'),
    ('valid_at', 'The hour the forecast is for: issued_at plus lead_hours.'),
    ('valid_on', 'The UTC day of valid_at.'),
    ('value', 'The median forecast, in the unit that the variable''s name ends in.'),
    ('variable', 'The quantity; its name ends in its unit.'),
    ('warmest_by_the_sun_h', 'The solar hour at which its days are warmest.')
) as meanings (name, meaning)
order by name;

-- name: select_external_forecast_columns
select column_name
from duckdb_columns()
where table_name = 'external_forecasts'
    and schema_name = 'main'
    and database_name = current_database();

-- name: select_migrations
select
    name,
    checksum
from migrations
order by name;

-- name: select_observation_columns
select column_name
from duckdb_columns()
where table_name = 'observation_versions'
    and schema_name = 'main'
    and database_name = current_database()
order by column_index;

-- name: select_schema
-- The columns that tell whether the schema is current. Not from duckdb_tables(), which asks for the size of each table, also of
-- those in a lake's catalogue.
select
    table_name,
    column_name,
    comment
from duckdb_columns()
where table_name in ('migrations', 'external_forecasts', 'observation_versions')
    and schema_name = 'main'
    and database_name = current_database()
order by table_name, column_index;

-- name: select_tables
-- Every table except migrations: those that a copy of the warehouse must have.
select table_name
from duckdb_tables()
where table_name <> 'migrations'
    and schema_name = 'main'
    and database_name = current_database()
order by table_name;

-- name: select_views
select view_name
from duckdb_views()
where schema_name = 'main'
    and database_name = current_database();
