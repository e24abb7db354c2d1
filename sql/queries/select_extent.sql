select
    min(observed_at) as first_observed_at,
    max(observed_at) as last_observed_at
from observation_versions
where known_from <= $as_of
