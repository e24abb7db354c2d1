select
    source,
    origin,
    rows_delivered,
    rows_kept,
    rows_repeated,
    rows_refused,
    ingested_at
from batches
order by ingested_at desc, received_until desc, batch_id
limit $batches
