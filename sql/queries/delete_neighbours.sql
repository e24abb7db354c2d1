delete from neighbours
