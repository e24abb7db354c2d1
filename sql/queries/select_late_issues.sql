select distinct issued_at
from covariates
where received_at > $latest
