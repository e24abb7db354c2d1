select
    source,
    origin,
    rows_delivered,
    rows_kept,
    rows_repeated,
    rows_refused,
    ingested_at
from batches
where rows_delivered > 0
order by ingested_at desc, received_until desc, batch_id
limit $batches
