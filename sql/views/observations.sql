-- What is believed of each station and hour now?
create or replace view observations as
select * exclude (known_until)
from observation_versions
where known_until is null;
