-- Which variables are forecast worse than climatology, and from which lead on? The champion's forecasts against what came.
with champions as (
    select
        variable,
        lead_hours,
        mae
    from skill_by_lead
    semi join champion using (model_id, forecaster)
    where basis = 'verified'
),
climatology as (
    select
        variable,
        lead_hours,
        mae as climatology_mae
    from skill_by_lead
    semi join champion using (model_id)
    where basis = 'verified'
        and forecaster = 'climatology'
),
final as (
    select
        variable,
        lead_hours,
        mae,
        climatology_mae,
        mae / nullif(climatology_mae, 0) as ratio
    from champions
    join climatology using (variable, lead_hours)
    where mae > climatology_mae
)
select * from final
order by variable, lead_hours
