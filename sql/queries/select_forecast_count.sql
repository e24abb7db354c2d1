select
    max(issued_at) as issued_at,
    count(distinct station_id) as stations,
    count(distinct variable) as variables,
    count(*) as rows
from latest_forecasts
