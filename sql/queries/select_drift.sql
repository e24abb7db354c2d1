select * exclude (model_id, found_at)
from drift
