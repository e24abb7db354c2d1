-- The thresholds of the checks over time: flags are by those that were in force.

create table thresholds (
    since timestamptz not null,
    limits varchar not null,
    is_applied boolean not null
);
comment on table thresholds is 'The thresholds of the checks as JSON by variable, in force from since on; is_applied: to all hours that were there.';
