delete from forecasts
where issued_at > $latest
