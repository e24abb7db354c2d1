-- What was observed at each station and hour, as known now?
create or replace view observations as
select * exclude (known_until)
from observation_versions
where known_until is null;
