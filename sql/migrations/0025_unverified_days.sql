-- Large networks are verified in turns: what changed and is not scored anew yet.

create table unverified_days (
    station_id varchar not null,
    day date not null,
    since timestamptz not null
);
comment on table unverified_days is 'Days of stations (UTC) whose scores are not up to date, since when: the next verifications bring them up to date.';
