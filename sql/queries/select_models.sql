select *
from models
order by registered_at, model_id
