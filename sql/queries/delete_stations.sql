delete from stations
where station_id in (select station_id from listed)
