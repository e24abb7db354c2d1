insert into substitutes by name
select * from chosen
