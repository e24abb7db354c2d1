-- What changed since the last publication, and which publication is the newest.

-- name: delete_publications
delete from publications;

-- name: delete_unpublished
delete from unpublished
using written
where written.touch_id::uuid = unpublished.touch_id;

-- name: insert_publication
insert into publications by name
select $publication_id as publication_id;

-- name: insert_unpublished
insert into unpublished by name
select
    uuid() as touch_id,
    $table_name as table_name,
    since,
    until
from touched;

-- name: select_layout
-- A hash that changes when a migration was applied or the columns of an append-only table changed.
select md5(
    (select string_agg(name, ' ' order by name) from migrations)
    || (
        select string_agg(concat_ws(' ', table_name, column_name, data_type), ', ' order by table_name, column_index)
        from duckdb_columns()
        where database_name = current_database()
            and table_name in ('forecasts', 'scores', 'observation_versions', 'external_forecasts')
    )
) as layout;

-- name: select_newest_forecasts
-- Like the view latest_forecasts, computed from the view `candidates`, which contains those rows.
with newest as (
    select
        station_id,
        max(issued_at) as issued_at
    from candidates
    anti join retired_stations using (station_id)
    group by station_id
)
select candidates.*
from candidates
semi join newest using (station_id, issued_at)
order by station_id, variable, lead_hours;

-- name: select_publication
select publication_id
from publications;

-- name: select_unpublished
select
    touch_id::varchar as touch_id,
    table_name,
    since,
    until
from unpublished
order by table_name, since;
