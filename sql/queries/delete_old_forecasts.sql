delete from forecasts
where issued_at < $until
