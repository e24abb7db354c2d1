-- The rows of the issues [since, until] of each station in `ranges`.
select covariates.*
from covariates
join ranges
    on ranges.station_id = covariates.station_id
    and covariates.issued_at between ranges.since and ranges.until
where covariates.issued_at between $earliest and $latest
