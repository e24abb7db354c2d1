-- Which forecaster made each forecast, where baselines serve in a model's place, and how each model came to serve.

alter table forecasts add column forecaster varchar;
update forecasts
set forecaster = models.forecaster
from models
where models.model_id = forecasts.model_id;
comment on column forecasts.forecaster is 'Who made it: the model''s own forecaster, or the baseline that serves this variable here in its place.';

alter table models add column promoted_by varchar;
comment on column models.promoted_by is 'How it last came to serve: judgement, hand or rollback; null where it never did, or before this was kept.';

create table substitutes (
    model_id varchar not null,
    variable varchar not null,
    station_id varchar,
    forecaster varchar not null,
    crps_ratio double not null,
    p_value double not null,
    days bigint not null
);
comment on table substitutes is 'Where a baseline of the same fit serves in a model''s place, because the model''s judgement proved it better.';
comment on column substitutes.station_id is 'The station it serves; null for every station that has no row of its own.';
comment on column substitutes.crps_ratio is 'Its CRPS over that of whoever would serve otherwise.';
comment on column substitutes.p_value is 'Of the paired test over days: how likely such an advantage is by luck.';
