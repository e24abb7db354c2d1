-- Are the intervals honest? below_05 is the share of observations at or below q05 (ideal: 0.05), coverage_50 the share from q25 to
-- q75 (ideal: 0.5). Larger shares are right for variables that are mostly at their minimum, such as rain.
create or replace view calibration as
with final as (
    select
        model_id,
        forecaster,
        variable,
        lead_hours,
        input_regime,
        count(*) as n,
        avg((observed <= q05)::double) as below_05,
        avg((observed <= q10)::double) as below_10,
        avg((observed <= q25)::double) as below_25,
        avg((observed <= q50)::double) as below_50,
        avg((observed <= q75)::double) as below_75,
        avg((observed <= q90)::double) as below_90,
        avg((observed <= q95)::double) as below_95,
        avg((observed between q25 and q75)::double) as coverage_50,
        avg((observed between q10 and q90)::double) as coverage_80,
        avg((observed between q05 and q95)::double) as coverage_90
    from forecast_errors
    where observed is not null
        and backfilled is not true  -- only forecasts that were served in time
    group by all
)
select * from final
order by model_id, forecaster, variable, lead_hours, input_regime;
