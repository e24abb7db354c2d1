insert into stations by name
select * from listed
