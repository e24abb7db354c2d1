select date_trunc('month', min(observed_at))::date
from observation_versions
