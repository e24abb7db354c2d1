-- Which model was champion when, so that a past hour can be forecast by the model of that hour; and which forecasts came too late
-- to be of use to anybody, so that they are not counted as served.

create table promotions (
    model_id varchar not null,
    promoted_at timestamptz not null,
    promoted_by varchar
);
insert into promotions by name
select
    model_id,
    promoted_at,
    promoted_by
from models
where promoted_at is not null;
comment on table promotions is 'Every time a model became champion: it was until the next one did.';
comment on column promotions.promoted_by is 'How: judgement, hand or rollback; null where it was before this was kept.';

alter table forecasts add column backfilled boolean;
update forecasts
set backfilled = created_at >= issued_at + interval 1 hour;
comment on column forecasts.backfilled is 'Whether it was made after its first hour had passed, for an hour that was missed or forecast again: from what was known at issued_at, by the champion of then. It was never served, so it has no part in scores.';
