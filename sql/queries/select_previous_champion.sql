-- The one before: of two that were promoted at the same moment, the later row.
select models.model_id
from models
left join promotions
    on promotions.model_id = models.model_id
    and promotions.promoted_at = models.promoted_at
where models.role = 'retired'
    and models.promoted_at is not null
order by models.promoted_at desc, promotions.rowid desc nulls last
limit 1
