"""A fit uses the quality flags (failed values count as missing, suspect ones half as truth), and chooses its variables."""

from datetime import UTC, datetime
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch

from daycast.errors import ConfigError, NotEnoughDataError
from daycast.model.config import ModelConfig
from daycast.model.fit import choose_variables, fit_forecaster
from daycast.model.forecaster import Forecaster
from daycast.quality.flags import keep_usable
from daycast.times import HOUR, UTC_TIME
from daycast.variables import BUILT_IN, flag_column

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = 60 * 24
NAMES = ("air_temperature_c", "wind_from_deg")  # the linear path's time grows with the cube of the variables
GLOSSARY = {name: BUILT_IN[name] for name in NAMES}
STATIONS = pl.DataFrame(
    {"station_id": ["a", "b"], "latitude": [47.0, 48.0], "longitude": [8.0, 9.0], "elevation_m": [400.0, 500.0]}
)
TINY = ModelConfig(
    cell="gru",
    ensemble_size=1,
    hidden_size=8,
    epochs=2,
    steps_per_epoch=3,
    batch_size=16,
    validation_days=8,
    holdout_days=8,
    least_training_days=20,
    device="cpu",
)
GARBAGE = {"air_temperature_c": 60.0, "wind_from_deg": 1.0}
EVERY_OTHER = pl.col("observed_at").dt.hour() % 2 == 1
EVERY_OTHER_DAY = pl.col("observed_at").dt.day() % 2 == 1


@cache
def weather() -> pl.DataFrame:
    """Two stations with a daily round and noise, one value in ten missing; all flags good or missing."""
    rng = np.random.default_rng(11)
    hours = np.arange(HOURS)
    parts = []
    for station in STATIONS["station_id"]:
        warmth = 10 + 6 * np.sin(2 * np.pi * hours / 24) + np.cumsum(rng.normal(0, 0.3, HOURS))
        direction = rng.uniform(0, 360, HOURS)
        frame = pl.DataFrame(dict(zip(NAMES, (warmth, direction), strict=True)))
        holes = rng.random((HOURS, len(NAMES))) < 0.1
        frame = frame.with_columns(
            pl.when(~pl.Series(holes[:, v])).then(pl.col(name)).alias(name) for v, name in enumerate(NAMES)
        )
        times = pl.Series("observed_at", [START + int(hour) * HOUR for hour in hours], dtype=UTC_TIME)
        parts.append(frame.select(pl.lit(station).alias("station_id"), times, *NAMES))
    rows = pl.concat(parts).with_columns(
        pl.col("observed_at").alias("known_from"), pl.lit(None, UTC_TIME).alias("known_until")
    )
    return rows.with_columns(
        pl.when(pl.col(name).is_null()).then(9).otherwise(1).cast(pl.UInt8).alias(flag_column(name)) for name in NAMES
    )


def flagged(flag: int, where: pl.Expr, values: dict[str, float]) -> pl.DataFrame:
    """The weather with this flag at some hours, and these values in place of the present ones."""
    valid = {name: where & pl.col(name).is_not_null() for name in NAMES}
    return weather().with_columns(
        *(pl.when(valid[name]).then(value).otherwise(pl.col(name)).alias(name) for name, value in values.items()),
        *(
            pl.when(valid[name]).then(flag).otherwise(pl.col(flag_column(name))).cast(pl.UInt8).alias(flag_column(name))
            for name in NAMES
        ),
    )


def without_every_other() -> pl.DataFrame:
    """The weather as it would be had every other hour's values never come."""
    return weather().with_columns(
        *(pl.when(~EVERY_OTHER).then(pl.col(name)).alias(name) for name in NAMES),
        *(
            pl.when(EVERY_OTHER).then(9).otherwise(pl.col(flag_column(name))).cast(pl.UInt8).alias(flag_column(name))
            for name in NAMES
        ),
    )


@cache
def fitted(case: str) -> Forecaster:
    frame = {
        "good": weather,
        "failed": lambda: flagged(4, EVERY_OTHER, GARBAGE),
        "missing": without_every_other,
        "suspect": lambda: flagged(3, EVERY_OTHER_DAY, {}),
    }[case]()
    return fit_forecaster(keep_usable(frame, NAMES), STATIONS, GLOSSARY, TINY, "hash")


def numbers(forecaster: Forecaster) -> dict[str, np.ndarray]:
    """Everything that was fitted."""
    tensors = {
        "climatology": forecaster.climatology,
        "ridge": forecaster.fitted.ridge,
        "path": forecaster.fitted.path,
        "refreshed path": forecaster.refreshed.path,
        **{f"residuals {name}": own for name, own in forecaster.residuals.items()},
        **{f"network {name}": weight for name, weight in forecaster.network.state_dict().items()},
        **{f"refreshed {name}": weight for name, weight in forecaster.refreshed.network.state_dict().items()},
    }
    scale = {"mean": forecaster.scale.mean, "deviation": forecaster.scale.deviation}
    return scale | {name: tensor.numpy() for name, tensor in tensors.items()}


def test_garbage_that_failed_changes_no_fitted_number() -> None:
    expected, got = numbers(fitted("missing")), numbers(fitted("failed"))
    assert got.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)
    assert fitted("failed").header == fitted("missing").header


def test_what_failed_is_missed() -> None:
    plain, failed = numbers(fitted("good")), numbers(fitted("failed"))
    for name in ("mean", "climatology", "ridge", "residuals ridge", "network members.0.head.weight"):
        assert not np.array_equal(plain[name], failed[name]), name


def test_suspect_truth_changes_what_is_fitted_to_truth_but_not_how_inputs_are_scaled() -> None:
    plain, suspect = numbers(fitted("good")), numbers(fitted("suspect"))
    for name in ("mean", "deviation"):
        np.testing.assert_array_equal(suspect[name], plain[name])
    for name in ("ridge", "path", "refreshed path", "network members.0.head.weight"):
        assert not np.array_equal(plain[name], suspect[name]), name


def test_suspect_days_count_half_in_the_climatology() -> None:
    fit = fitted("suspect")
    until = datetime.fromisoformat(fit.header.trained_until)
    weight = pl.when(EVERY_OTHER_DAY).then(0.5).otherwise(1.0) * pl.col(NAMES[0]).is_not_null()
    means = (
        weather()
        .filter((pl.col("station_id") == "b") & (pl.col("observed_at") < until))
        .group_by(hour=pl.col("observed_at").dt.hour())
        .agg(((weight * pl.col(NAMES[0])).sum() / weight.sum()).alias("mean"))
        .sort("hour")
    )
    assert until.month == 1  # the training data has only January
    expected = (means["mean"].to_numpy() - fit.scale.mean[0]) / fit.scale.deviation[0]
    np.testing.assert_allclose(fit.climatology[1, 0, :, 0].numpy(), expected, atol=1e-5)


def test_flags_that_find_no_fault_change_no_fitted_number() -> None:
    bare = weather().drop(flag_column(name) for name in NAMES)
    expected = numbers(fit_forecaster(bare, STATIONS, GLOSSARY, TINY, "hash"))
    got = numbers(fitted("good"))
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)
    assert torch.isfinite(fitted("good").fitted.ridge).all()


ROWS = pl.DataFrame(
    {
        "air_temperature_c": [1.0, None],
        "dew_point_c": [None, 0.5],
        "wind_from_deg": [90.0, 180.0],
        "wind_speed_m_s": pl.Series([None, None], dtype=pl.Float64),
    }
)


def names(**config: tuple[str, ...]) -> tuple[list[str], list[str]]:
    targets, others = choose_variables(ROWS, BUILT_IN, ModelConfig(**config))
    return [variable.name for variable in targets], [variable.name for variable in others]


def test_every_target_with_a_value_is_forecast_and_everything_with_a_value_is_read():
    assert names() == (["air_temperature_c", "dew_point_c"], ["wind_from_deg"])


def test_a_variable_all_of_whose_values_were_doubted_later_is_neither_forecast_nor_read():
    later = datetime(2026, 6, 2, tzinfo=UTC)
    rows = ROWS.with_columns(known_until=pl.Series([None, later], dtype=pl.Datetime("us", "UTC")))
    targets, others = choose_variables(rows, BUILT_IN, ModelConfig())
    assert [variable.name for variable in targets] == ["air_temperature_c"]
    assert [variable.name for variable in others] == ["wind_from_deg"]


def test_targets_that_are_named_are_forecast_and_the_others_still_read():
    assert names(targets=("dew_point_c",)) == (["dew_point_c"], ["air_temperature_c", "wind_from_deg"])


def test_of_inputs_that_are_named_only_these_are_read_besides_the_targets():
    assert names(targets=("dew_point_c",), inputs=("wind_from_deg",)) == (["dew_point_c"], ["wind_from_deg"])
    assert names(targets=("dew_point_c",), inputs=("dew_point_c",)) == (["dew_point_c"], [])


@pytest.mark.parametrize("key", ["targets", "inputs"])
def test_what_is_named_and_has_no_value_is_an_error(key: str):
    with pytest.raises(ConfigError, match=f"model.{key} names 'wind_speed_m_s', which no training row has a value of"):
        names(**{key: ("wind_speed_m_s",)})


def test_without_a_target_there_is_nothing_to_forecast():
    with pytest.raises(NotEnoughDataError, match="no target variable has a value yet"):
        choose_variables(ROWS.select("wind_from_deg"), BUILT_IN, ModelConfig())
