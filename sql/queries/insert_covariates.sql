insert into covariates by name
select * from issues
