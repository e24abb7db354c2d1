select greatest(
    (select max(started_at) from runs),
    (select max(ingested_at) from batches),
    (select max(registered_at) from models)
) as stamped_at
