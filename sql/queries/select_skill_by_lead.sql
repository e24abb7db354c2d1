-- The champion's rows of skill_by_lead, and those of what stands beside it, on one basis.
select skill_by_lead.*
from skill_by_lead
semi join champion using (model_id)
where basis = $basis
order by variable, forecaster, lead_hours
