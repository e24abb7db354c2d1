-- How far off were the forecasts? Each forecast beside the observation; error is forecast minus observation. Observations that
-- failed their checks (flag 4) do not count as truth; forecasts without any other observation are left out.
create or replace view forecast_errors as
with marks as (
    select
        station_id,
        observed_at,
        {marks}
    from observations
),
observed as (
    select
        station_id,
        observed_at,
        variable,
        value as observed
    from marks
    where value is not null
        and (flag >= 4) is not true
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
