-- What is believed of each station and hour now, and as a macro what was believed at a past moment.
create or replace view observations as
select * exclude (known_until)
from observation_versions
where known_until is null;

create or replace macro observations_as_of(t) as table
select * exclude (known_until)
from observation_versions
where known_from <= t
    and (known_until is null or known_until > t);
