-- How far off were the forecasts? Each one beside what came; error is forecast minus observation.
create or replace view forecast_errors as
with observed as (
    unpivot (
        select
            station_id,
            observed_at,
            columns(name -> name not in ('station_id', 'observed_at', 'known_from') and name not like '%\_flag' escape '\')
        from observations
    )
    on columns(* exclude (station_id, observed_at))
    into name variable value observed
),
final as (
    select
        forecasts.*,
        observed.observed,
        forecasts.value - observed.observed as error
    from forecasts
    join observed
        on observed.station_id = forecasts.station_id
        and observed.variable = forecasts.variable
        and observed.observed_at = forecasts.valid_at
)
select * from final;
