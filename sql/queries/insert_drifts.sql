insert into drifts by name
select * from drifted
