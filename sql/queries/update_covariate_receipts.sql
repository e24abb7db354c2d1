update covariates
set received_at = $now
where received_at > $latest
