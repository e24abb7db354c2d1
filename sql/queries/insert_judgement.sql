insert into judgements by name
select * from judged
