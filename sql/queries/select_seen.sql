select distinct fingerprint
from batches
where source = $source
    and complete
