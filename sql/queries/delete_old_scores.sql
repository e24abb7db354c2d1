delete from scores
where valid_on < $until::date
