-- Up to where the scores are up to date: verification works in days' pieces, and is done once the last one is written.

create table verifications (
    scored_at timestamptz not null,
    as_of timestamptz not null
);
comment on table verifications is 'The verifications that went through: when, and up to which moment the scores were brought up to date.';

insert into verifications
select distinct
    scored_at,
    coalesce(as_of, scored_at) as as_of
from scores;
