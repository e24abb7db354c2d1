insert into observation_versions by name
select * from versions
