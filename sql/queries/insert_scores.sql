insert into scores by name
select * from scored
