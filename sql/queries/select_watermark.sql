select received_until
from watermarks
where source = $source
