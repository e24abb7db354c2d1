with newest as (
    select
        station_id,
        variable,
        max(issued_at) as issued_at
    from forecasts
    where issued_at <= $as_of
    group by all
)
select
    max(issued_at) as issued_at,
    count(distinct station_id) as stations,
    list_sort(list(distinct variable)) as variables,
    (
        select count(*)
        from forecasts
        join newest using (station_id, variable, issued_at)
        where implausible
    ) as implausible
from newest
