-- What was wrong in our reading of a source is stated again with its receipts; what was taken for it before is kept aside.

alter table batches add column mapping varchar;
alter table batches add column receipt varchar;
alter table batches add column superseded_at timestamptz;

create table mappings (
    source varchar not null,
    mapping varchar not null
);
comment on table mappings is 'How each source is read: its settings and the version of the reader as JSON, without those that change no reading.';

create table rereads (
    source varchar not null,
    since timestamptz,
    begun_at timestamptz not null
);
comment on table rereads is 'The sources that are being read again; what a killed run left is done by the next.';

create table restatements (
    source varchar not null,
    since timestamptz,
    begun_at timestamptz not null,
    ended_at timestamptz not null,
    mapping varchar,
    rows_retracted bigint not null,
    rows_left bigint not null
);
comment on table restatements is 'Each time a source was read again: how many rows were retracted, and how many could not be read again and stay.';

create table retracted_readings as
select *, null::timestamptz as retracted_at
from readings
limit 0;
comment on table retracted_readings is 'Readings that daycast had read wrongly, as it took them then; never used again.';

create table retracted_external_forecasts as
select *, null::timestamptz as retracted_at
from external_forecasts
limit 0;
comment on table retracted_external_forecasts is 'External forecasts that daycast had read wrongly, as it took them then; never used again.';

comment on table readings is 'One row as a source delivered it, in daycast''s units, altered only where daycast had read it wrongly; see retracted_readings.';
