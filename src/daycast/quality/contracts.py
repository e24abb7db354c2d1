"""Data contracts as pandera schemas: raw readings, external forecasts, observations, forecasts.

First the four contracts, then `find_rejections` (which rows break a contract, one by one) and `validate_frame` (the whole frame
passes or an error is raised).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pandera.polars as pa
import polars as pl
from pandera.config import ValidationDepth, get_config_context
from pandera.errors import SchemaErrors

from daycast.errors import ConfigError, ContractError
from daycast.quality.flags import FAIL, GOOD, MISSING, NOT_EVALUATED, SUSPECT
from daycast.times import HORIZON_HOURS, UTC_TIME
from daycast.variables import Variable, check_column, flag_column

QUANTILE_COLUMNS = ("q05", "q10", "q25", "q50", "q75", "q90", "q95")
_CLOCK_ERROR = timedelta(hours=1)  # how far a sensor's clock may be ahead
_REASONS = {"not_nullable": "missing", "station": "empty station id", "on_the_hour": "not on the full hour"}


def readings_contract(variables: Iterable[Variable], earliest: datetime) -> pa.DataFrameSchema:
    """Raw readings: a station, an instant from `earliest` to its receipt (UTC), and each variable null or a finite number.

    Whether a number is plausible is decided by flags, not by this contract.
    """
    times = [
        _holds(pl.col("observed_at") >= earliest, f"before {earliest:%Y-%m-%d}: is the clock set?"),
        _holds(
            pl.col("observed_at") <= pl.col("received_at") + _CLOCK_ERROR, "later than its receipt: is the clock right?"
        ),
    ]
    return pa.DataFrameSchema(
        {
            "station_id": pa.Column(pl.String, pa.Check.str_length(min_value=1, name="station", error="station")),
            "observed_at": pa.Column(UTC_TIME, times),
            "received_at": pa.Column(UTC_TIME),
            **{
                variable.name: pa.Column(
                    pl.Float64, _holds(pl.col(variable.name).is_finite(), "not finite"), nullable=True
                )
                for variable in variables
            },
        },
        strict=True,
    )


def external_forecasts_contract(variables: Iterable[Variable], earliest: datetime) -> pa.DataFrameSchema:
    """External forecasts: a station, full hours of issue and of validity (the later one), and values within physical limits.

    External forecasts have no flags, so a row with a value outside the limits is rejected.
    """
    before = f"before {earliest:%Y-%m-%d}: is the clock set?"
    issued = [_on_the_hour(), _holds(pl.col("issued_at") >= earliest, before)]
    valid = [_on_the_hour(), _holds(pl.col("valid_at") > pl.col("issued_at"), "not after the hour of issue")]
    received = _holds(pl.col("received_at") >= pl.col("issued_at"), "earlier than the issue: is the clock right?")
    return pa.DataFrameSchema(
        {
            "station_id": pa.Column(pl.String, pa.Check.str_length(min_value=1, name="station", error="station")),
            "issued_at": pa.Column(UTC_TIME, issued),
            "valid_at": pa.Column(UTC_TIME, valid),
            "received_at": pa.Column(UTC_TIME, received),
            **{variable.name: pa.Column(pl.Float64, _within_limits(variable), nullable=True) for variable in variables},
        },
        strict=True,
    )


def observations_contract(variables: Iterable[Variable]) -> pa.DataFrameSchema:
    """Versions of hourly observations: on the hour, with a known flag for each variable, unique and sorted.

    The key, and the order, is station_id, observed_at, known_from.
    """
    columns = {
        "station_id": pa.Column(pl.String),
        "observed_at": pa.Column(UTC_TIME, _on_the_hour()),
        "known_from": pa.Column(UTC_TIME),
        "known_until": pa.Column(UTC_TIME, nullable=True),
    }
    flags = [GOOD, NOT_EVALUATED, SUSPECT, FAIL, MISSING]
    for variable in variables:
        columns[variable.name] = pa.Column(pl.Float64, nullable=True)
        columns[flag_column(variable.name)] = pa.Column(pl.UInt8, pa.Check.isin(flags))
        columns[check_column(variable.name)] = pa.Column(pl.String, nullable=True)
    key = ["station_id", "observed_at", "known_from"]
    ordered = pa.Check(
        lambda data: data.lazyframe.select(_strictly_after_the_row_before(key)), error="one row a version"
    )
    return pa.DataFrameSchema(columns, checks=[ordered], strict=True)


def forecasts_contract() -> pa.DataFrameSchema:
    """Forecasts: issued on the hour, leads 1 to 24 with valid_at = issued_at + lead_hours, finite quantiles that never cross."""
    rising = [pl.col(low) <= pl.col(high) for low, high in pairwise(QUANTILE_COLUMNS)]
    lead = pl.col("valid_at") - pl.col("issued_at") == pl.duration(hours=pl.col("lead_hours"))
    finite = pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_finite()), error="not finite")
    return pa.DataFrameSchema(
        {
            "station_id": pa.Column(pl.String),
            "variable": pa.Column(pl.String),
            "issued_at": pa.Column(UTC_TIME, _on_the_hour()),
            "valid_at": pa.Column(UTC_TIME),
            "lead_hours": pa.Column(pl.UInt8, pa.Check.in_range(1, HORIZON_HOURS)),
            "value": pa.Column(pl.Float64, finite),
            **{name: pa.Column(pl.Float64, finite) for name in QUANTILE_COLUMNS},
            "model_id": pa.Column(pl.String),
            "forecaster": pa.Column(pl.String),
            "input_regime": pa.Column(pl.String, pa.Check.isin(["full", "gappy", "stale", "cold_start"])),
            "created_at": pa.Column(UTC_TIME),
            "backfilled": pa.Column(pl.Boolean),
            "implausible": pa.Column(pl.Boolean),
        },
        checks=[
            pa.Check(lambda data: data.lazyframe.select(pl.all_horizontal(rising)), error="quantiles cross"),
            pa.Check(lambda data: data.lazyframe.select(lead), error="valid_at is not issued_at + lead_hours"),
        ],
        strict=True,
    )


def find_rejections(readings: pl.DataFrame, contract: pa.DataFrameSchema) -> pl.DataFrame:
    """One row for each value that breaks the contract: row_number, column, value, reason. Empty if the contract holds.

    Raises ContractError if a column is missing or has another type, because that is not the fault of single rows.
    """
    failures = _failures(readings, contract)
    if failures is None:
        return pl.DataFrame(
            schema={"row_number": pl.UInt32, "column": pl.String, "value": pl.String, "reason": pl.String}
        )
    if failures["index"].null_count():
        raise ContractError(_first_failure("readings", failures))
    return failures.select(
        pl.col("index").cast(pl.UInt32).alias("row_number"),
        "column",
        pl.col("failure_case").cast(pl.String).alias("value"),
        pl.col("check").replace(_REASONS).alias("reason"),
    )


def validate_frame(frame: pl.DataFrame, contract: pa.DataFrameSchema, what: str) -> pl.DataFrame:
    """Return the frame if it keeps the contract. Raises ContractError naming the first violation; `what` names the frame."""
    failures = _failures(frame, contract)
    if failures is not None:
        raise ContractError(_first_failure(what, failures))
    return frame


def check_contracts_are_on() -> None:
    """Raise ConfigError if pandera is disabled or validates schemas only: bad values would pass silently."""
    config = get_config_context()
    if not config.validation_enabled or config.validation_depth is ValidationDepth.SCHEMA_ONLY:
        raise ConfigError(
            "pandera's checks are switched off: unset PANDERA_VALIDATION_ENABLED and PANDERA_VALIDATION_DEPTH in the environment"
        )


def _failures(frame: pl.DataFrame, contract: pa.DataFrameSchema) -> pl.DataFrame | None:
    """Pandera's table of failure cases; None if there are none."""
    try:
        contract.validate(frame, lazy=True)
    except SchemaErrors as errors:
        return pl.DataFrame(errors.failure_cases)
    return None


def _first_failure(what: str, failures: pl.DataFrame) -> str:
    first = failures.row(0, named=True)
    where = f" in row {first['index']}" if first["index"] is not None else ""
    return f"{what} break their contract: {first['column']}: {first['check']}: {first['failure_case']!r}{where}"


def _holds(condition: pl.Expr, reason: str) -> pa.Check:
    return pa.Check(lambda data: data.lazyframe.select(condition), error=reason)


def _within_limits(variable: Variable) -> pa.Check:
    return _holds(pl.col(variable.name).is_between(variable.valid_min, variable.valid_max), variable.outside)


def _on_the_hour() -> pa.Check:
    return pa.Check(
        lambda data: data.lazyframe.select(pl.col(data.key).dt.truncate("1h") == pl.col(data.key)), error="on_the_hour"
    )


def _strictly_after_the_row_before(key: Sequence[str]) -> pl.Expr:
    """Whether each row's key is greater than that of the row before, compared column by column."""
    after = pl.lit(value=False)
    for name in reversed(key):
        before = pl.col(name).shift(1)
        after = (pl.col(name) > before) | ((pl.col(name) == before) & after)
    return after.fill_null(value=True)
