-- Which source delivered readings of which station, so that the stations of a source that is no longer configured can be retired.

create table station_sources (
    source varchar not null,
    station_id varchar not null
);
comment on table station_sources is 'Which source delivered readings of which station.';

insert into station_sources
select distinct
    batches.source,
    readings.station_id
from readings
join batches using (batch_id);

create table retired_sources (
    source varchar not null,
    retired_at timestamptz not null
);
comment on table retired_sources is 'Sources that were retired by hand: `daycast sources retire`.';

create table retired_stations (
    station_id varchar not null,
    source varchar not null,
    retired_at timestamptz not null
);
comment on table retired_stations is 'Stations that are not forecast any more, because every source that delivered them is retired or no longer configured; their history is kept. A row for each station and source.';
comment on column retired_stations.retired_at is 'When that was noticed.';
