-- What sources delivered: batches, readings, rejections, stations, watermarks and tolerances; and which sources are retired.

-- name: delete_batches
delete from batches
where list_contains($batch_ids::varchar[], batch_id);

-- name: delete_counters
delete from counters
using numbers
where numbers.station_id = counters.station_id
    and numbers.observed_at = counters.observed_at
    and counters.source = $source
    and counters.counter = $counter
    and counters.variable = $variable;

-- name: delete_rejected_readings
delete from rejected_readings
where list_contains($batch_ids::varchar[], batch_id);

-- name: delete_retired_source
delete from retired_sources
where source = $source;

-- name: delete_retired_stations
delete from retired_stations;

-- name: delete_stations
delete from stations
where station_id in (select station_id from listed);

-- name: delete_tolerance
delete from tolerances
where source = $source;

-- name: delete_watermark
delete from watermarks
where source = $source;

-- name: insert_batch
insert into batches by name
select
    $batch_id as batch_id,
    $source as source,
    $origin as origin,
    $fingerprint as fingerprint,
    $complete as complete,
    $received_until::timestamptz as received_until,
    $rows_delivered as rows_delivered,
    $rows_kept as rows_kept,
    $rows_repeated as rows_repeated,
    $rows_revised as rows_revised,
    $rows_refused as rows_refused,
    $ingested_at::timestamptz as ingested_at,
    $reason as reason,
    $mapping as mapping,
    $receipt as receipt,
    $header as header;

-- name: insert_counters
insert into counters by name
select
    $source as source,
    $counter as counter,
    $variable as variable,
    station_id,
    observed_at,
    received_at,
    number
from numbers;

-- name: insert_retired_source
insert into retired_sources
values ($source, $retired_at);

-- name: insert_station_sources
-- The stations in the frame `delivered`, of one source, as far as they are new.
insert into station_sources by name
select
    $source as source,
    station_id
from delivered
where station_id not in (select station_id from station_sources where source = $source);

-- name: insert_tolerance
insert into tolerances
values ($source, $tolerance_s);

-- name: insert_unlisted_stations
insert into stations by name
select * from unlisted
where station_id not in (select station_id from stations);

-- name: insert_watermark
insert into watermarks
values ($source, $received_until);

-- name: select_batches
select
    batch_id,
    origin,
    fingerprint,
    rows_revised,
    ingested_at,
    superseded_at is null as is_newest
from batches
where source = $source
    and reason is null;

-- name: select_batch_tolerances
select
    batches.batch_id,
    tolerances.tolerance_s
from batches
join tolerances using (source);

-- name: select_clock_suspects
select
    station_id,
    offset_h
from station_clock
where suspect
order by station_id;

-- name: select_counters
-- The numbers of one counter in the time [since, until] of each station in the frame `ranges`.
select
    counters.station_id,
    counters.observed_at,
    counters.received_at,
    counters.number
from counters
join ranges
    on ranges.station_id = counters.station_id
    and counters.observed_at between ranges.since and ranges.until
where counters.source = $source
    and counters.counter = $counter
    and counters.variable = $variable;

-- name: select_header
-- The header of the first file that was read by this mapping, where columns are read by their position.
select
    header,
    origin
from batches
where source = $source
    and mapping = $mapping
    and header is not null
    and reason is null
order by
    ingested_at,
    origin
limit 1;

-- name: select_just_past_the_hour
-- The readings of $source that are stamped up to $within_s after a full hour.
select
    readings.station_id,
    readings.observed_at,
    readings.received_at
from readings
join batches using (batch_id)
where batches.source = $source
    and readings.observed_at > date_trunc('hour', readings.observed_at)
    and readings.observed_at <= date_trunc('hour', readings.observed_at) + to_seconds($within_s);

-- name: select_last_batches
select
    source,
    origin,
    rows_delivered,
    rows_kept,
    rows_repeated,
    rows_refused,
    ingested_at
from batches
where rows_delivered > 0
order by ingested_at desc, received_until desc, batch_id
limit $batches;

-- name: select_origins
select distinct origin
from batches
where source = $source
    and reason is null;

-- name: select_rejected_batches
select
    batch_id,
    source,
    origin,
    ingested_at
from batches
where reason is not null;

-- name: select_rejections
-- Why rows were rejected in [$since, $until], the most frequent reason first; a row can have several.
select
    column_name,
    reason,
    count(*) as n,
    min(value) as example
from rejected_readings
where rejected_at between $since and $until
group by all
order by n desc, column_name, reason;

-- name: select_out_of_serving
-- The stations of which every source is retired: not in $sources, those that are configured, or retired by hand.
with sources as (
    select
        source,
        station_id,
        list_contains($sources::varchar[], source)
            and source not in (select source from retired_sources) as serves
    from station_sources
)
select
    station_id,
    source
from sources
where station_id not in (select station_id from sources where serves)
order by station_id, source;

-- name: select_retired_sources
select
    source,
    retired_at
from retired_sources
order by source;

-- name: select_retired_stations
select
    station_id,
    source,
    retired_at
from retired_stations
order by station_id, source;

-- name: select_seen
select distinct fingerprint
from batches
where source = $source
    and complete
    and superseded_at is null;

-- name: select_sources_of_stations
select
    source,
    station_id
from station_sources
order by source, station_id;

-- name: select_tolerance
select tolerance_s
from tolerances
where source = $source;

-- name: select_watermark
select received_until
from watermarks
where source = $source;

-- name: update_superseded_batches
update batches
set superseded_at = $now
where list_contains($batch_ids::varchar[], batch_id);
