select model_id
from models
where role = 'retired'
    and promoted_at is not null
order by promoted_at desc
limit 1
