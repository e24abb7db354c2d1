-- Sources that are read again: how each is read, what is under way, and the rows of one source. {table} is readings or external_forecasts.

-- name: delete_mapping
delete from mappings
where source = $source;

-- name: delete_numbers
-- The numbers of a variable at the instants in the frame `numbers`, whichever counter of $source they are of.
delete from counters
using numbers
where numbers.station_id = counters.station_id
    and numbers.observed_at = counters.observed_at
    and counters.source = $source
    and counters.variable = $variable;

-- name: delete_reread
delete from rereads
where source = $source;

-- name: delete_rows
-- The rows of the frame `gone`; a batch can have several rows of one number, at other instants or receipts.
delete from {table}
using gone
where gone.batch_id = {table}.batch_id
    and gone.row_number = {table}.row_number
    and gone.station_id = {table}.station_id
    and gone.{instant} = {table}.{instant}
    and gone.received_at = {table}.received_at;

-- name: delete_unread_stations
-- The stations of which nothing is held any more because rows of $source were retracted at $since or later.
delete from stations
where station_id in (
        select station_id
        from retracted_readings
        join batches using (batch_id)
        where source = $source and retracted_at >= $since
    )
    and station_id not in (select station_id from readings)
    and station_id not in (select station_id from external_forecasts);

-- name: insert_mapping
insert into mappings
values ($source, $mapping);

-- name: insert_reread
insert into rereads
values ($source, $since::timestamptz, $begun_at::timestamptz);

-- name: insert_restatement
insert into restatements by name
select
    $source as source,
    $since::timestamptz as since,
    $begun_at::timestamptz as begun_at,
    $ended_at::timestamptz as ended_at,
    $mapping as mapping,
    $rows_retracted as rows_retracted,
    $rows_left as rows_left;

-- name: select_batches_of_source
select * exclude (superseded_at)
from batches
where source = $source;

-- name: select_counters_of_source
select *
from counters
where source = $source
    and observed_at >= $since;

-- name: select_last_reread
select max(begun_at) as begun_at
from restatements
where source = $source;

-- name: select_mapping
select mapping
from mappings
where source = $source;

-- name: select_months_of_source
select distinct date_trunc('month', {instant}) as month
from {table}
join batches using (batch_id)
where batches.source = $source
    and {instant} >= $since
order by month;

-- name: select_origins_of_source
-- How far the rows of each origin go and how many there are, and the batches of it without rows.
select
    batches.origin,
    min({instant}) as first,
    count({instant}) as n
from batches
left join {table} using (batch_id)
where batches.source = $source
    and batches.reason is null
group by batches.origin;

-- name: select_rejected_of_source
select rejected_readings.*
from rejected_readings
join batches using (batch_id)
where batches.source = $source;

-- name: select_reread
select
    since,
    begun_at
from rereads
where source = $source;

-- name: select_retracted_count
select
    (select count(*) from retracted_readings join batches using (batch_id) where source = $source and retracted_at >= $since)
    + (select count(*) from retracted_external_forecasts join batches using (batch_id) where source = $source and retracted_at >= $since)
    as rows;

-- name: select_rows_of_month
-- The rows of all sources from $since to before $until, each with its source, and how and where it was read.
select
    {table}.*,
    batches.source,
    batches.origin,
    batches.mapping,
    batches.receipt = 'stated' as is_stated
from {table}
join batches using (batch_id)
where {instant} >= $since
    and {instant} < $until;
