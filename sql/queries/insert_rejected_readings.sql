insert into rejected_readings by name
select * from refusals
