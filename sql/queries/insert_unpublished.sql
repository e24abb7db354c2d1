insert into unpublished by name
select
    uuid() as touch_id,
    $table_name as table_name,
    since,
    until
from touched
