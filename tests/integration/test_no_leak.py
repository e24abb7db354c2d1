"""No leak: what was observed or received after t0 changes no forecast, and later blocks change no fit."""

from collections.abc import Callable
from datetime import datetime
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from daycast.model.checkpoint import load_checkpoint
from daycast.model.fit import fit_forecaster
from daycast.model.forecaster import Forecaster
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.evaluate import open_block
from daycast.steps.forecast import make_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.train import write_snapshot
from daycast.times import DAY, HISTORY_HOURS, HOUR
from daycast.warehouse.models import read_champion
from daycast.warehouse.observations import read_stations, read_versions

VALUES = {
    "air_temperature_c": (-30.0, 40.0),
    "dew_point_c": (-40.0, 30.0),
    "relative_humidity_pct": (0.0, 100.0),
    "sea_level_pressure_hpa": (950.0, 1050.0),
    "wind_speed_m_s": (0.0, 40.0),
    "wind_from_deg": (0.0, 360.0),
    "precipitation_mm": (0.0, 50.0),
}


def with_noise(versions: pl.DataFrame, where: pl.Expr, seed: int = 1) -> pl.DataFrame:
    """The versions, with noise within the limits for every value that is there in the rows of `where`."""
    rng = np.random.default_rng(seed)
    noise = {name: pl.Series(rng.uniform(low, high, len(versions))) for name, (low, high) in VALUES.items()}
    struck = [
        pl.when(where & pl.col(name).is_not_null()).then(noise[name]).otherwise(pl.col(name)).alias(name)
        for name in VALUES
    ]
    return versions.with_columns(struck)


def ingest(settings: Settings, now: datetime) -> None:
    ingest_source(settings, settings.sources[0], now)


def issued(settings: Settings, now: datetime, t0: datetime) -> pl.DataFrame:
    return make_forecasts(settings, now, issued_at=t0).drop("created_at", "backfilled")


def change_what_came_after(settings: Settings, t0: datetime, now: datetime, change: str) -> int:
    """Change what was observed or received after t0; returns how many of those rows stand for hours up to t0."""
    late = "known_from > $t0 and observed_at <= $t0 and observed_at > $t0 - to_hours(168)"
    with settings.warehouse.write(now) as con:
        count = con.execute(f"select count(*) from observation_versions where {late}", {"t0": t0}).fetchall()[0][0]
        con.execute(f"{change} where observed_at > $t0 or known_from > $t0", {"t0": t0})
    return count


def hour_with_most_late_rows(settings: Settings, first: datetime, last: datetime, now: datetime) -> datetime:
    with settings.warehouse.write(now) as con:
        versions = read_versions(con, first, last, now)
    hours = [first + h * HOUR for h in range((last - first) // HOUR)]
    late = [versions.filter((pl.col("observed_at") <= t) & (pl.col("known_from") > t)).height for t in hours]
    assert max(late) > 0, "no reading was late: the tests below would prove nothing"
    return hours[int(np.argmax(late))]


@pytest.mark.parametrize(
    "change",
    [
        "delete from observation_versions",
        "update observation_versions set air_temperature_c = 40 - air_temperature_c, precipitation_mm = 9, wind_speed_m_s = null",
        "update observation_versions set air_temperature_c_flag = 4, relative_humidity_pct = 7",
    ],
)
def test_what_came_after_t0_changes_no_forecast(
    change: str, trained, copy_of: Callable[[Settings, str], Settings]
) -> None:
    now = trained.at + 3 * DAY
    ingest(trained.settings, now)
    t0 = hour_with_most_late_rows(trained.settings, trained.at.replace(minute=0) + HOUR, now - DAY, now)
    expected = issued(trained.settings, now, t0)
    altered = copy_of(trained.settings, "altered")
    assert change_what_came_after(altered, t0, now, change) > 0
    assert_frame_equal(issued(altered, now, t0), expected, check_exact=True)
    assert len(expected) == 4 * 2 * 24


def test_what_was_known_at_t0_does_change_the_forecast(trained, copy_of: Callable[[Settings, str], Settings]) -> None:
    t0 = trained.at.replace(minute=0)
    before = issued(trained.settings, trained.at, t0)
    with trained.settings.warehouse.write(trained.at) as con:
        con.execute(
            "update observation_versions set air_temperature_c = air_temperature_c + 5 where observed_at = $at",
            {"at": t0 - (HISTORY_HOURS - 1) * HOUR},
        )
    after = issued(trained.settings, trained.at, t0)
    warmth = pl.col("variable") == "air_temperature_c"
    assert (after.filter(warmth)["value"] != before.filter(warmth)["value"]).any()


@pytest.mark.slow
def test_a_forecast_issued_live_is_the_one_issued_again_after_late_and_corrected_readings(trained) -> None:
    live, t = {}, trained.at
    for _ in range(5):
        t += 7 * HOUR
        ingest(trained.settings, t)
        t0 = t.replace(minute=0)
        live[t0] = issued(trained.settings, t, t0)
    later = t + 5 * DAY
    ingest(trained.settings, later)
    hour_with_most_late_rows(trained.settings, min(live), max(live), later)
    for t0, expected in live.items():
        assert_frame_equal(issued(trained.settings, later, t0), expected, check_exact=True)


def predicted(
    forecaster: Forecaster, versions: pl.DataFrame, stations: pl.DataFrame, until: datetime
) -> dict[str, np.ndarray]:
    """Quantiles of every forecaster for hours of issue up to `until`, as a backtest makes them."""
    block = open_block(forecaster, versions, stations, every=11, until=until + HOUR)
    assert len(block.origins) > 50
    parts: dict[str, list[np.ndarray]] = {name: [] for name in forecaster.names}
    for _, quantiles, _, _ in forecaster.predict(block.windows, block.stations, block.origins, forecaster.names):
        for name, of in parts.items():
            of.append(quantiles[name])
    return {name: np.concatenate(part) for name, part in parts.items()}


def test_a_backtest_reads_nothing_that_came_after_each_hour_of_issue(trained_once) -> None:
    settings, now = trained_once.settings, trained_once.at
    t0 = hour_with_most_late_rows(settings, now.replace(minute=0) - 10 * DAY, now.replace(minute=0) - 2 * DAY, now)
    with settings.warehouse.write(now) as con:
        versions = keep_usable(read_versions(con, t0 - 20 * DAY, now, now), list(settings.glossary))
        stations, champion = read_stations(con), read_champion(con)
    forecaster = load_checkpoint(settings.checkpoints / champion.checkpoint, "cpu")
    assert set(forecaster.names) == {"persistence", "same_hour_yesterday", "climatology", "ridge", "base", "gru"}
    altered = with_noise(versions, (pl.col("observed_at") > t0) | (pl.col("known_from") > t0))
    assert not altered.equals(versions)
    expected, got = (predicted(forecaster, frame, stations, t0) for frame in (versions, altered))
    for name in forecaster.names:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


# The fit


@pytest.fixture(scope="module")
def fit(trained_once) -> Callable[[datetime | None], Forecaster]:
    """Fit to the snapshot with noise in the rows observed at or after an hour of choice; None for no noise."""
    settings = trained_once.settings
    snapshot = write_snapshot(settings, trained_once.at)
    versions, stations = (pl.read_parquet(snapshot / f"{name}.parquet") for name in ("observations", "stations"))

    @cache
    def fitted(noise_from: datetime | None) -> Forecaster:
        frame = versions if noise_from is None else with_noise(versions, pl.col("observed_at") >= noise_from)
        return fit_forecaster(frame, stations, settings.glossary, settings.model, "hash")

    return fitted


@pytest.mark.slow
def test_a_fit_sees_of_the_later_blocks_only_what_it_says(fit: Callable[[datetime | None], Forecaster]) -> None:
    plain = fit(None)
    trained_until, calibrated_until = (
        datetime.fromisoformat(text) for text in (plain.header.trained_until, plain.header.calibrated_until)
    )
    assert calibrated_until - trained_until == 10 * DAY + HISTORY_HOURS * HOUR
    without_judgement, training_alone = fit(calibrated_until), fit(trained_until)
    for other in (without_judgement, training_alone):
        np.testing.assert_array_equal(other.scale.mean, plain.scale.mean)
        np.testing.assert_array_equal(other.scale.deviation, plain.scale.deviation)
        assert other.header.channels == plain.header.channels
        assert torch.equal(other.climatology, plain.climatology)
        assert torch.equal(other.fitted.ridge, plain.fitted.ridge)
        assert torch.equal(other.fitted.path, plain.fitted.path)
        assert not torch.equal(other.refreshed.path, plain.refreshed.path)  # which is served, and never judged
        served, weights = other.refreshed.network.state_dict(), plain.refreshed.network.state_dict()
        assert not any(torch.equal(served[name], weights[name]) for name in weights if name.endswith("head.weight"))
    same, weights = without_judgement.network.state_dict(), plain.network.state_dict()
    assert all(torch.equal(same[name], weights[name]) for name in weights)
    assert all(torch.equal(without_judgement.residuals[name], own) for name, own in plain.residuals.items())
    assert without_judgement.header == plain.header
    assert not torch.equal(training_alone.residuals["ridge"], plain.residuals["ridge"])  # which are of validation


@pytest.mark.slow
def test_a_fit_sees_the_training_rows(fit: Callable[[datetime | None], Forecaster]) -> None:
    plain = fit(None)
    other = fit(datetime.fromisoformat(plain.header.trained_until) - HOUR)
    assert not torch.equal(other.fitted.ridge, plain.fitted.ridge)
    assert not np.array_equal(other.scale.mean, plain.scale.mean)
