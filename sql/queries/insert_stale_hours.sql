insert into stale_hours by name
select * from ranges
