insert into calibrations by name
select * from calibrated
