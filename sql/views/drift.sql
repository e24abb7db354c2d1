-- Are the champion's forecasts worse than they should be, and since when? No rows: no drift was found.
create or replace view drift as
select drifts.*
from drifts
join models using (model_id)
where models.role = 'champion'
    and drifts.found_at >= models.promoted_at
order by drifts.found_at, drifts.variable, drifts.measure;
