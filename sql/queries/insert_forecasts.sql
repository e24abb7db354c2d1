insert into forecasts by name
select * from served
