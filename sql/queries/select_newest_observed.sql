select greatest(
    (select max(observed_at) from readings),
    (select max(issued_at) from covariates)
) as observed_at
