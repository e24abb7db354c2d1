insert into neighbours by name
select * from nearest
