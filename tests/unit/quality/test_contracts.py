"""The contracts: a good frame passes, and each kind of bad one is named with its place, its value and the reason."""

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest
from pandera.config import ValidationDepth, config_context

from daycast.errors import ConfigError, ContractError
from daycast.quality.contracts import (
    QUANTILE_COLUMNS,
    check_contracts_are_on,
    find_rejections,
    forecasts_contract,
    observations_contract,
    readings_contract,
    validate_frame,
)
from daycast.times import HOUR, UTC_TIME
from daycast.variables import BUILT_IN

T0 = datetime(2026, 2, 1, 10, tzinfo=UTC)
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
WARMTH, RAIN = "air_temperature_c", "precipitation_mm"
VARIABLES = [BUILT_IN[WARMTH], BUILT_IN[RAIN]]
READING = {"station_id": "a", "observed_at": T0, "received_at": T0, WARMTH: 1.0, RAIN: 0.0}
READING_SCHEMA = {
    "station_id": pl.String,
    "observed_at": UTC_TIME,
    "received_at": UTC_TIME,
    WARMTH: pl.Float64,
    RAIN: pl.Float64,
}


def readings(*changes: dict) -> pl.DataFrame:
    """Good readings, each with its changes."""
    return pl.DataFrame([{**READING, **change} for change in changes], schema=READING_SCHEMA)


def rejections(*changes: dict) -> list[tuple]:
    return find_rejections(readings(*changes), readings_contract(VARIABLES, EARLIEST)).rows()


# Readings


def test_any_number_is_a_reading_and_so_is_a_missing_one() -> None:
    assert (
        rejections(
            {}, {WARMTH: None, RAIN: None}, {WARMTH: -999.9}, {"observed_at": T0 + HOUR}, {"observed_at": EARLIEST}
        )
        == []
    )


@pytest.mark.parametrize(
    ("change", "column", "value", "reason"),
    [
        ({RAIN: float("nan")}, RAIN, "NaN", "not finite"),
        ({RAIN: float("inf")}, RAIN, "inf", "not finite"),
        (
            {"observed_at": T0 + 1.1 * HOUR},
            "observed_at",
            "2026-02-01 11:06:00.000000+00:00",
            "later than its receipt: is the clock right?",
        ),
        (
            {"observed_at": EARLIEST - HOUR},
            "observed_at",
            "1899-12-31 23:00:00.000000+00:00",
            "before 1900-01-01: is the clock set?",
        ),
        ({"station_id": ""}, "station_id", "", "empty station id"),
        ({"station_id": None}, "station_id", None, "missing"),
        ({"observed_at": None}, "observed_at", None, "missing"),
        ({"received_at": None}, "received_at", None, "missing"),
    ],
)
def test_a_bad_reading_is_named_with_row_column_value_and_reason(
    change: dict, column: str, value: str | None, reason: str
) -> None:
    assert rejections({}, {}, change, {}) == [(2, column, value, reason)]


def test_everything_wrong_with_a_row_is_named() -> None:
    nan = float("nan")
    assert sorted(rejections({WARMTH: nan, RAIN: nan}, {})) == [
        (0, WARMTH, "NaN", "not finite"),
        (0, RAIN, "NaN", "not finite"),
    ]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.drop(RAIN),
        lambda frame: frame.with_columns(pl.col(RAIN).cast(pl.String)),
        lambda frame: frame.with_columns(extra=1),
        lambda frame: frame.with_columns(pl.col("observed_at").dt.replace_time_zone(None)),
    ],
)
def test_a_frame_of_other_columns_is_refused_whole(spoil: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    with pytest.raises(ContractError, match="readings break their contract"):
        find_rejections(spoil(readings({})), readings_contract(VARIABLES, EARLIEST))


# Observations

OBSERVATION_SCHEMA = {
    "station_id": pl.String,
    "observed_at": UTC_TIME,
    "known_from": UTC_TIME,
    "known_until": UTC_TIME,
    WARMTH: pl.Float64,
    f"{WARMTH}_flag": pl.UInt8,
    f"{WARMTH}_check": pl.String,
}


def observations(*keys: tuple[str, float, float], flag: int = 1) -> pl.DataFrame:
    """Rows of (station, hours observed after T0, hours known after T0)."""
    rows = [(s, T0 + o * HOUR, T0 + k * HOUR, None, 1.0, flag, None) for s, o, k in keys]
    return pl.DataFrame(rows, schema=OBSERVATION_SCHEMA, orient="row")


def validated(frame: pl.DataFrame) -> pl.DataFrame:
    return validate_frame(frame, observations_contract([BUILT_IN[WARMTH]]), "observations")


def test_versions_in_order_pass_and_come_back_as_they_are() -> None:
    frame = observations(("a", 0, 0), ("a", 0, 1.5), ("a", 1, 1), ("b", 0, 0))
    assert validated(frame) is frame


@pytest.mark.parametrize(
    "keys",
    [
        (("a", 0, 0), ("a", 0, 0)),  # twice
        (("a", 0, 2), ("a", 0, 1)),  # known_from falls
        (("a", 1, 1), ("a", 0, 2)),  # observed_at falls
        (("b", 0, 0), ("a", 1, 1)),  # station_id falls
    ],
)
def test_doubled_or_unordered_versions_are_refused(keys: tuple) -> None:
    with pytest.raises(ContractError, match=r"observations break their contract: .*one row a version"):
        validated(observations(*keys))


def test_an_observation_off_the_hour_is_refused() -> None:
    with pytest.raises(ContractError, match=r"observed_at: on_the_hour.* in row 1"):
        validated(observations(("a", 0, 0), ("a", 1.5, 2)))


def test_an_unknown_flag_is_refused() -> None:
    with pytest.raises(ContractError, match=rf"{WARMTH}_flag.*: .5. in row 0"):
        validated(observations(("a", 0, 0), flag=5))


# Forecasts


def forecast(**changes: object) -> pl.DataFrame:
    """Two good rows of a forecast, the second with the changes."""
    good = {
        "station_id": "a",
        "variable": WARMTH,
        "issued_at": T0,
        "valid_at": T0 + 3 * HOUR,
        "lead_hours": 3,
        "value": 3.0,
        **{name: float(place) for place, name in enumerate(QUANTILE_COLUMNS)},
        "model_id": "m",
        "forecaster": "ridge",
        "input_regime": "full",
        "created_at": T0,
        "backfilled": False,
        "implausible": False,
    }
    frame = pl.DataFrame([good, {**good, **changes}])
    return frame.with_columns(
        pl.col("lead_hours").cast(pl.UInt8), pl.col("issued_at", "valid_at", "created_at").cast(UTC_TIME)
    )


def test_good_forecasts_pass_also_where_quantiles_are_equal() -> None:
    assert len(validate_frame(forecast(q10=0.0, q05=0.0), forecasts_contract(), "forecasts")) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"q10": 2.5}, "quantiles cross"),
        ({"q95": 4.9}, "quantiles cross"),
        ({"valid_at": T0 + 4 * HOUR}, "valid_at is not issued_at"),
        ({"lead_hours": 25, "valid_at": T0 + 25 * HOUR}, "lead_hours"),
        ({"lead_hours": 0, "valid_at": T0}, "lead_hours"),
        ({"issued_at": T0 + HOUR / 2, "valid_at": T0 + 3.5 * HOUR}, "issued_at: on_the_hour"),
        ({"value": float("nan")}, "value: not_nullable"),
        ({"value": float("-inf")}, "value: not finite"),
        ({"q95": float("inf")}, "q95: not finite"),
        ({"input_regime": "sunny"}, "input_regime"),
    ],
)
def test_a_bad_forecast_is_refused_and_the_row_is_named(changes: dict, reason: str) -> None:
    with pytest.raises(ContractError, match=f"forecasts break their contract: .*{reason}.* in row 1"):
        validate_frame(forecast(**changes), forecasts_contract(), "forecasts")


# The switch


def test_contracts_that_are_on_are_found_on() -> None:
    check_contracts_are_on()


@pytest.mark.parametrize(
    "switched_off", [{"validation_enabled": False}, {"validation_depth": ValidationDepth.SCHEMA_ONLY}]
)
def test_contracts_that_are_switched_off_are_a_configuration_error(switched_off: dict) -> None:
    with config_context(**switched_off), pytest.raises(ConfigError, match="PANDERA_VALIDATION_ENABLED"):
        check_contracts_are_on()
