select
    touch_id::varchar as touch_id,
    table_name,
    since,
    until
from unpublished
order by table_name, since
