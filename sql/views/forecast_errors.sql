-- How far off were the forecasts? Each forecast beside the observation; error is forecast minus observation. Observations that
-- failed their checks (flag 4) do not count as truth; forecasts without any other observation are left out.
create or replace view forecast_errors as
with observed as (
    unpivot (
        select
            station_id,
            observed_at,
            columns(name -> name not in ('station_id', 'observed_at', 'known_from') and not regexp_matches(name, '_(flag|check)$'))
        from observations
    )
    on columns(* exclude (station_id, observed_at))
    into name variable value observed
),
failed as (
    select
        station_id,
        observed_at,
        variable
    from observations
    unpivot include nulls ((flag, "check") for variable in ({marks}))
    where flag >= 4
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
    anti join failed
        on failed.station_id = forecasts.station_id
        and failed.variable = forecasts.variable
        and failed.observed_at = forecasts.valid_at
)
select * from final;
