-- Those who were champion by a moment, the newest promotion first; of two at the same moment, the later row.
select models.*
from promotions
join models using (model_id)
where promotions.promoted_at <= $until
order by promotions.promoted_at desc, promotions.rowid desc
