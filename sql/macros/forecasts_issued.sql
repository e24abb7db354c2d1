-- What did the newest forecast of each station say at the moment t? The last one issued in the 24 hours up to t,
-- t included: as latest_forecasts, had it been asked then. attached_as: the name under which the file is attached, if it is not the
-- current database.
create or replace macro forecasts_issued(t, attached_as := '') as table
select *
from query({attached} || 'forecasts')
where issued_at <= t
    and issued_at > t::timestamptz - interval 24 hour
qualify issued_at = max(issued_at) over (partition by station_id);
