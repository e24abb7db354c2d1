-- Which model's forecasts are served, and why was it promoted?
create or replace view champion as
select
    model_id,
    forecaster,
    trained_until,
    promoted_at,
    promoted_by,
    reason
from models
where role = 'champion';
