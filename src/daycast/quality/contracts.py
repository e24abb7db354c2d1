"""The contracts at each border, as pandera schemas: raw readings, observations, forecasts."""

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
_CLOCK_ERROR = timedelta(hours=1)  # how far ahead a sensor's clock may be
_REASONS = {"not_nullable": "missing", "station": "empty station id", "on_the_hour": "not on the full hour"}


def readings_contract(variables: Iterable[Variable], earliest: datetime) -> pa.DataFrameSchema:
    """Raw readings: a station, an instant from `earliest` to its receipt, and each variable missing or a finite number.

    Whether a number can be true is a matter of flags, not of this contract.
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
    """Somebody else's forecast: a station, whole hours of issue and, later, of validity, and values that weather can have.

    Unlike a reading a forecast bears no flags, so a value beyond the limits is refused with its row.
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
    """Versions of hourly observations: on the hour, known not before it, flagged, one of each, in order."""
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
    """Forecasts: whole hours, leads 1 to 24 that fit, finite quantiles that never cross."""
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
    """What is wrong, value by value: row_number, column, value, reason; empty where the contract holds.

    Raises ContractError where whole columns are missing or of another type, which no row can be blamed for.
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
    """The frame itself where it keeps the contract; raises ContractError naming the first break otherwise."""
    failures = _failures(frame, contract)
    if failures is not None:
        raise ContractError(_first_failure(what, failures))
    return frame


def check_contracts_are_on() -> None:
    """Raise ConfigError where pandera was switched off or down to schemas only: bad values would pass silently."""
    config = get_config_context()
    if not config.validation_enabled or config.validation_depth is ValidationDepth.SCHEMA_ONLY:
        raise ConfigError(
            "pandera's checks are switched off: unset PANDERA_VALIDATION_ENABLED and PANDERA_VALIDATION_DEPTH in the environment"
        )


def _failures(frame: pl.DataFrame, contract: pa.DataFrameSchema) -> pl.DataFrame | None:
    try:
        contract.validate(frame, lazy=True)
    except SchemaErrors as errors:
        return pl.DataFrame(errors.failure_cases)
    return None


def _first_failure(what: str, failures: pl.DataFrame) -> str:
    first = failures.row(0, named=True)
    where = f" in row {first['index']}" if first["index"] is not None else ""
    return f"{what} break their contract: {first['column']}: {first['check']}: {first['failure_case']!r}{where}"


def _holds(condition: pl.Expr, otherwise: str) -> pa.Check:
    return pa.Check(lambda data: data.lazyframe.select(condition), error=otherwise)


def _within_limits(variable: Variable) -> pa.Check:
    return _holds(pl.col(variable.name).is_between(variable.valid_min, variable.valid_max), variable.outside)


def _on_the_hour() -> pa.Check:
    return pa.Check(
        lambda data: data.lazyframe.select(pl.col(data.key).dt.truncate("1h") == pl.col(data.key)), error="on_the_hour"
    )


def _strictly_after_the_row_before(key: Sequence[str]) -> pl.Expr:
    after = pl.lit(value=False)
    for name in reversed(key):
        before = pl.col(name).shift(1)
        after = (pl.col(name) > before) | ((pl.col(name) == before) & after)
    return after.fill_null(value=True)
