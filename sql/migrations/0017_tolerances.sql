-- How long after a full hour a source's readings may be stamped and still count for it.

create table tolerances (
    source varchar not null,
    tolerance_s double not null
);
comment on table tolerances is 'The tolerance [s] of each source that the observations were made with; a source that is not listed has none.';
