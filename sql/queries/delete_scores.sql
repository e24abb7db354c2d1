delete from scores
using (select distinct station_id, valid_on from scored) as replaced
where replaced.station_id = scores.station_id
    and replaced.valid_on = scores.valid_on
