select
    max(issued_at) as issued_at,
    count(distinct station_id) as stations,
    list_sort(list(distinct variable)) as variables,
    count(*) filter (implausible) as implausible
from latest_forecasts
