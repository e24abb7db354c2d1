select
    count(*) as n,
    count(distinct station_id) as stations,
    max(issued_at) as newest
from covariates
