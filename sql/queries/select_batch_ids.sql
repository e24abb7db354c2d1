select batch_id
from batches
where source = $source
    and reason is null
