select max(ingested_at)
from batches
