insert into stations by name
select * from unlisted
where station_id not in (select station_id from stations)
