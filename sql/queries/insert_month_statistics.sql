insert into month_statistics by name
select * from statistics
