-- Migrations, tables, views, and the meaning of columns.

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
-- What a column means, by its name: the same in every table and view; a name after its table where it means something else there.
select
    name,
    meaning
from (values
    ('amplitude_c', 'Half the mean difference between the warmest and the coldest hour of the day, in °C.'),
    ('as_of', 'Nothing later was used.'),
    ('backfilled', 'Whether it was made only after its first hour had passed; then it has no part in scores.'),
    ('basis', 'judged: by the judgement before promotion; verified: served forecasts against what came.'),
    ('batch_id', 'What was ingested together; see batches.'),
    ('below_05', 'Share of observations at or below q05; 0.05 where it is honest.'),
    ('below_10', 'Share of observations at or below q10; 0.1 where it is honest.'),
    ('below_25', 'Share of observations at or below q25; 0.25 where it is honest.'),
    ('below_50', 'Share of observations at or below q50, the median; 0.5 where it is honest.'),
    ('below_75', 'Share of observations at or below q75; 0.75 where it is honest.'),
    ('below_90', 'Share of observations at or below q90; 0.9 where it is honest.'),
    ('below_95', 'Share of observations at or below q95; 0.95 where it is honest.'),
    ('bias', 'Mean error of the median, forecast minus observation, in the variable''s unit.'),
    ('bound', 'What the measure had to keep to: for skill from the ratio of the judgement before promotion.'),
    ('check', 'The check that decided the flag; null where none did.'),
    ('checkpoint', 'The file of the model, in the folder of checkpoints.'),
    ('column_name', 'The column of the source that could not be read.'),
    ('complete', 'Whether all of it was taken in.'),
    ('coverage_50', 'Share of observations within q25 to q75; 0.5 where the interval is honest.'),
    ('coverage_80', 'Share of observations within q10 to q90; 0.8 where the interval is honest.'),
    ('coverage_90', 'Share of observations within q05 to q95; 0.9 where the interval is honest.'),
    ('created_at', 'When the row was written.'),
    ('crps', 'Mean continuous ranked probability score from the seven quantiles, in the variable''s unit; smaller is better.'),
    ('crps_ratio', 'Its CRPS over that of whoever would serve otherwise.'),
    ('data_hash', 'The hash of the data it was trained on.'),
    ('day', 'The UTC day.'),
    ('days', 'How many days the test compared.'),
    ('decision', 'The numbers of the judgement, as JSON.'),
    ('drift.days', 'How many days were scored from since to until.'),
    ('drift.observed', 'The measure over those days: a ratio above its bound, or a share below it.'),
    ('drift.p_value', 'How likely the days were by luck if the measure stood at its bound.'),
    ('drift.since', 'The first UTC day of validity that was looked at.'),
    ('drift.until', 'The last UTC day of validity that was looked at.'),
    ('elevation_m', 'Metres above sea level; null where unknown.'),
    ('error', 'value minus observed.'),
    ('failed', 'Hours whose value failed its checks.'),
    ('fingerprint', 'The hash by which a delivery is known again.'),
    ('finished_at', 'When it ended; null while it runs, and where it was killed.'),
    ('file', 'Relative to the folder of the history, which is named as the published file without its suffix.'),
    ('first_day', 'The first UTC day that is counted.'),
    ('first_observed_at', 'The first hour observed.'),
    ('flag', 'QARTOD''s: 1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing.'),
    ('flow', 'Which flow ran.'),
    ('follows', 'The publication that this one was made from; null where all was made anew.'),
    ('forecaster', 'gru, lstm, … for a model, or the name of a baseline.'),
    ('found_at', 'When it was found; over when a champion is promoted later.'),
    ('good', 'Hours whose value is good or was not evaluated.'),
    ('hours', 'How many hours.'),
    ('hours_observed', 'How many hours have an observation.'),
    ('implausible', 'Whether the median lies far outside anything observed there; null where that was not looked at yet.'),
    ('ingested_at', 'When it was taken in.'),
    ('input_regime', 'What the model had to work with: full, gappy, stale, cold_start.'),
    ('issued_at', 'The hour the forecast is made at; it uses nothing observed or received later.'),
    ('history_files.since', 'The begin of the range of time whose rows it holds, all of them.'),
    ('history_files.until', 'The end of that range, itself left out.'),
    ('known_from', 'From when on this was believed.'),
    ('known_until', 'Until when it was believed; null for what is believed now.'),
    ('last_day', 'The last UTC day that is counted.'),
    ('last_observed_at', 'The last hour observed.'),
    ('latitude', 'Degrees north; null where unknown.'),
    ('layout', 'Stands for the columns of the tables that grow.'),
    ('lead_hours', 'Hours from issued_at to valid_at, 1 to 24.'),
    ('longitude', 'Degrees east; null where unknown.'),
    ('mae', 'Mean absolute error of the median, in the variable''s unit.'),
    ('measure', 'skill: CRPS over that of the best baseline of those days; coverage: share of what came within q10 to q90.'),
    ('message', 'What went wrong; null where nothing did.'),
    ('missing', 'Hours that have no value.'),
    ('model_id', 'The model of models; a baseline bears that of the model it stands beside.'),
    ('n', 'How many forecasts were compared with an observation.'),
    ('name', 'The name people use.'),
    ('observed', 'What was observed at valid_at, as believed now.'),
    ('observed_at', 'The hour it stands for: instantaneous quantities at the hour, sums over the hour ending there.'),
    ('offset_h', 'Hours by which the station''s clock seems to be off the sun.'),
    ('origin', 'The file or address it came from.'),
    ('p_value', 'Of the paired test over days: how likely such an advantage is by luck.'),
    ('promoted_at', 'When it last came to serve.'),
    ('promoted_by', 'How it last came to serve: judgement, hand or rollback.'),
    ('publication_id', 'Another one each time the file is made.'),
    ('q05', 'The 5 % quantile: 5 in 100 observations should lie below.'),
    ('q10', 'The 10 % quantile.'),
    ('q25', 'The 25 % quantile.'),
    ('q50', 'The median; equal to value.'),
    ('q75', 'The 75 % quantile.'),
    ('q90', 'The 90 % quantile.'),
    ('q95', 'The 95 % quantile: 5 in 100 observations should lie above.'),
    ('reading', 'The whole row as it came, as JSON.'),
    ('received_at', 'When it could first have been known.'),
    ('reason', 'Why the model has its role.'),
    ('received_until', 'Up to which moment of receipt the source was taken in.'),
    ('registered_at', 'When the model was entered.'),
    ('rejected_at', 'When the row was refused.'),
    ('rejected_readings.reason', 'What is wrong with the value.'),
    ('rejected_readings.value', 'The value as it came.'),
    ('rival', 'The baseline that skill was measured against; null for coverage.'),
    ('rmse', 'Root mean square error of the median, in the variable''s unit.'),
    ('role', 'champion serves, challenger was judged, retired served before.'),
    ('row_number', 'Which row of the batch.'),
    ('rows', 'How many rows.'),
    ('rows_delivered', 'Rows that the source delivered: kept and refused ones.'),
    ('rows_kept', 'Rows that were taken in.'),
    ('rows_refused', 'Rows that were not, see rejected_readings.'),
    ('rows_repeated', 'Kept rows that brought no news.'),
    ('rows_revised', 'Kept rows that corrected what was known.'),
    ('run_id', 'Which run.'),
    ('scored_at', 'When the score was written.'),
    ('share_observed', 'Share of the hours from the first to the last that have an observation.'),
    ('since', 'The first hour of issue that was judged.'),
    ('skill', 'Share of the best naive baseline''s mae that is saved: 1 perfect, 0 no better, below 0 worse.'),
    ('skill_over_climatology', 'Share of the mae of the station''s usual value at that hour that is saved.'),
    ('skill_over_persistence', 'Share of the mae of the last value observed that is saved.'),
    ('skill_over_ridge', 'Share of the mae of the linear regression that is saved.'),
    ('skill_over_same_hour_yesterday', 'Share of the mae of the value 24 hours before that is saved.'),
    ('source', 'The name of the source in the configuration.'),
    ('started_at', 'When it began.'),
    ('station_clock.hours', 'How many hours the estimate rests on.'),
    ('station_clock.suspect', 'Whether the offset is too large to be the weather''s.'),
    ('station_id', 'The station, see stations.'),
    ('status', 'running, done or failed; a run that was killed is running until the next of its flow begins.'),
    ('suspect', 'Hours whose value is doubted.'),
    ('table_name', 'The table whose history it is.'),
    ('trained_until', 'No row at or after this hour was used in training.'),
    ('until', 'The end of the hours of issue that were judged, itself left out.'),
    ('valid_at', 'The hour the forecast is for: issued_at plus lead_hours.'),
    ('valid_on', 'The UTC day of valid_at.'),
    ('value', 'The median forecast, in the unit that the variable''s name ends in.'),
    ('variable', 'The quantity; its name ends in its unit.'),
    ('warmest_by_the_sun_h', 'At which hour by the sun its days are warmest.')
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

-- name: select_migrations_table
-- Not from duckdb_tables(), which asks after the size of each table, also of those of a lake's catalogue.
select distinct table_name
from duckdb_columns()
where table_name = 'migrations'
    and schema_name = 'main'
    and database_name = current_database();

-- name: select_observation_columns
select column_name
from duckdb_columns()
where table_name = 'observation_versions'
    and schema_name = 'main'
    and database_name = current_database();

-- name: select_tables
-- Every table that holds what the pipeline knows.
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

-- name: select_views_checksum
select comment
from duckdb_columns()
where table_name = 'migrations'
    and column_name = 'checksum'
    and schema_name = 'main'
    and database_name = current_database();
