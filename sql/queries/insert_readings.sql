insert into readings by name
select * from news
