select
    batch_id,
    source,
    origin,
    ingested_at
from batches
where reason is not null
