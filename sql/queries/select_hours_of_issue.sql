select distinct issued_at
from forecasts
where issued_at >= $since and issued_at < $until
