select distinct issued_at
from forecasts
where issued_at > $latest
