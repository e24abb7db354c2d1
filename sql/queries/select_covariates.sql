select * exclude (batch_id, row_number)
from covariates
where received_at <= $as_of
    and issued_at between $since and $until
order by
    station_id,
    issued_at,
    valid_at,
    received_at,
    batch_id,
    row_number
