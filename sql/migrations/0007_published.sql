-- What was written since the published file was made, so that publishing costs what is new. A later migration that changes values
-- need not say so: the published history is made anew after each.

create table unpublished (
    touch_id uuid not null,
    table_name varchar not null,
    since timestamptz not null,
    until timestamptz not null,
    check (since < until)
);
comment on table unpublished is 'Ranges of time, until left out, of which rows were written or deleted since the table was last published.';

create table publications (
    publication_id varchar not null
);
comment on table publications is 'The newest publication. A published file that is neither it nor made from it is made anew, whole.';
