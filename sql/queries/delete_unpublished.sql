delete from unpublished
using written
where written.touch_id::uuid = unpublished.touch_id
