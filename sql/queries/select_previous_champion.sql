-- The one before: of two that were promoted at the same moment, the later row.
select models.model_id
from promotions
join models using (model_id)
where models.role = 'retired'
order by promotions.promoted_at desc, promotions.rowid desc
limit 1
