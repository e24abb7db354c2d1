-- What was wrong with rows refused in a span of time, the commonest first; a row can have several things wrong with it.
select
    column_name,
    reason,
    count(*) as n,
    min(value) as example
from rejected_readings
where rejected_at between $since and $until
group by all
order by n desc, column_name, reason
