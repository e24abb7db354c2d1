-- What was believed of each station and hour at the moment t? As observations, with later corrections and checks undone.
-- attached_as: the name under which the file is attached, if it is not the current database.
create or replace macro observations_as_of(t, attached_as := '') as table
select * exclude (known_until)
from query({attached} || 'observation_versions')
where known_from <= t
    and (known_until is null or known_until > t);
