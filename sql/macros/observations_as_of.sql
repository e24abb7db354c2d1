-- What was believed of each station and hour at the moment t? As observations, with later corrections and checks undone.
create or replace macro observations_as_of(t) as table
select * exclude (known_until)
from observation_versions
where known_from <= t
    and (known_until is null or known_until > t);
