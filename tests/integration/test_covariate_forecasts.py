"""Others' forecasts from the warehouse to ours: they help, their absence does no harm, and none is read before it had come."""

import shutil
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from daycast.model.checkpoint import load_checkpoint, read_header
from daycast.model.fit import fit_forecaster
from daycast.model.forecaster import Forecaster
from daycast.settings import Settings
from daycast.steps.backtest import backtest
from daycast.steps.evaluate import evaluate, evaluate_holdout, open_block
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.registry import show_model
from daycast.steps.train import fit_snapshot, register, write_snapshot
from daycast.times import DAY, HOUR
from daycast.variables import BUILT_IN
from daycast.warehouse.models import promote_model

pytestmark = pytest.mark.slow
NOW = datetime(2026, 2, 5, 10, 5, tzinfo=UTC)
WARMTH = "air_temperature_c"
OTHERS = [name for name in BUILT_IN if name not in {WARMTH, "wind_speed_m_s", "sea_level_pressure_hpa"}]
MODEL = {
    "cell": "gru",
    "hidden_size": 8,
    "ensemble_size": 1,
    "epochs": 1,
    "steps_per_epoch": 5,
    "batch_size": 32,
    "validation_days": 15,
    "holdout_days": 15,
    "targets": [WARMTH, "wind_speed_m_s"],
    "device": "cpu",
}


@dataclass(frozen=True)
class Fitted:
    settings: Settings
    versions: pl.DataFrame
    stations: pl.DataFrame
    external_forecasts: pl.DataFrame
    forecaster: Forecaster


def settings_in(folder: Path) -> Settings:
    source = {"kind": "simulated", "stations": 4, "history": "110d", "forecasts": True}
    return Settings.model_validate({"sources": [source], "model": MODEL}, context={"folder": folder})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """Four simulated stations with forecasts by somebody else, and a champion that reads them."""
    settings = settings_in(tmp_path_factory.mktemp("fitted"))
    ingest_source(settings, settings.sources[0], NOW)
    snapshot = write_snapshot(settings, NOW)
    few = pl.read_parquet(snapshot / "observations.parquet").drop(OTHERS, strict=False)  # so that the fit is quick
    few.write_parquet(snapshot / "observations.parquet")
    checkpoint = fit_snapshot(snapshot, settings.checkpoints, settings.glossary, settings.model, lambda _: None)
    register(settings, checkpoint, *evaluate_holdout(settings, checkpoint, NOW), NOW)
    with settings.warehouse.write(NOW) as con:
        promote_model(con, read_header(checkpoint).model_id, NOW)
    parts = (
        pl.read_parquet(snapshot / f"{name}.parquet") for name in ("observations", "stations", "external_forecasts")
    )
    return Fitted(settings, *parts, load_checkpoint(checkpoint, "cpu", refreshed=False))


def scores(fitted: Fitted, forecaster: Forecaster, external_forecasts: pl.DataFrame | None) -> pl.DataFrame:
    """On the newest weeks, which no fit saw: mae and coverage_80 by variable."""
    since = datetime.fromisoformat(forecaster.header.calibrated_until)
    recent = fitted.versions.filter(pl.col("observed_at") >= since)
    block = open_block(forecaster, recent, fitted.stations, every=5, external_forecasts=external_forecasts)
    means = [pl.col(name).mean() for name in ("mae", "coverage_80")]
    return evaluate(block, {"gru": (forecaster, "gru")}).group_by("variable").agg(means).sort("variable")


def test_forecasts_of_others_help_and_their_absence_does_no_harm(fitted: Fitted) -> None:
    """The error of somebody else's temperature is 0.6 to 2 °C, that of our own about 2 °C after a few hours."""
    glossary, config = fitted.settings.glossary, fitted.settings.model
    plain = fit_forecaster(fitted.versions, fitted.stations, glossary, config, "hash")
    assert plain.header.external_forecasts == ()
    assert {channel.variable for channel in fitted.forecaster.header.external_forecasts} == {
        WARMTH,
        "sea_level_pressure_hpa",
        "wind_speed_m_s",
    }
    without = scores(fitted, plain, None)
    helped, hidden = (scores(fitted, fitted.forecaster, rows) for rows in (fitted.external_forecasts, None))
    assert (helped["mae"] < 0.8 * without["mae"]).all(), (helped, without)
    assert (hidden["mae"] < 1.04 * without["mae"]).all(), (hidden, without)
    for table in (helped, hidden):
        assert table["coverage_80"].is_between(0.68, 0.92).all(), table


def test_what_came_after_the_calibration_changes_nothing_that_is_judged(fitted: Fitted) -> None:
    """Issues, receipts and corrections of the newest weeks turn only the weights that are refreshed for serving."""
    since = datetime.fromisoformat(fitted.forecaster.header.calibrated_until)
    late = fitted.external_forecasts.filter(pl.col("received_at") >= since).with_columns(pl.col(WARMTH) * 2)
    corrections = fitted.external_forecasts.with_columns(pl.col(WARMTH) + 7, received_at=pl.lit(since))
    lies = pl.concat([fitted.external_forecasts.filter(pl.col("received_at") < since), late, corrections])
    glossary, config = fitted.settings.glossary, fitted.settings.model
    other = fit_forecaster(fitted.versions, fitted.stations, glossary, config, "hash", external_forecasts=lies)
    one, two = (forecaster.network.state_dict() for forecaster in (fitted.forecaster, other))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(fitted.forecaster.residuals["ridge"], other.residuals["ridge"])
    assert torch.equal(fitted.forecaster.fitted.path, other.fitted.path)
    assert not torch.equal(fitted.forecaster.refreshed.path, other.refreshed.path)


def test_a_backtest_and_the_judgement_read_them(fitted: Fitted) -> None:
    since = datetime.fromisoformat(fitted.forecaster.header.calibrated_until) + 8 * DAY
    table, _ = backtest(fitted.settings, since, since + 5 * DAY, 6 * HOUR, NOW)
    with fitted.settings.warehouse.write(NOW) as con:
        judged = con.execute(
            "select forecaster, avg(mae) from holdout_scores where variable = $v group by all", {"v": WARMTH}
        )
        holdout = dict(judged.fetchall())
    tested = dict(table.filter(pl.col("variable") == WARMTH).group_by("model").agg(pl.col("mae").mean()).iter_rows())
    served = fitted.forecaster.header.model_id
    fit = show_model(fitted.settings, served, NOW)["fit"]
    assert fit["Of others"] == "air_temperature_c, wind_speed_m_s, sea_level_pressure_hpa"
    assert tested[served] < 1.2 < tested["same_hour_yesterday"]
    assert holdout["gru"] < 1.2 < holdout["same_hour_yesterday"]


@pytest.mark.parametrize(
    "change", ["delete from external_forecasts", f"update external_forecasts set {WARMTH} = 30 - {WARMTH}"]
)
def test_what_came_after_t0_changes_no_forecast(change: str, fitted: Fitted, tmp_path: Path) -> None:
    shutil.copytree(fitted.settings.data, tmp_path / "data")
    altered, t0 = settings_in(tmp_path), NOW.replace(minute=0) - 20 * HOUR
    expected = issue_forecasts(altered, NOW, t0)
    with altered.warehouse.write(NOW) as con:
        late = "issued_at > $t0 or received_at > $t0"
        issued_before = f"select count(*) from external_forecasts where ({late}) and issued_at <= $t0"
        assert con.execute(issued_before, {"t0": t0}).fetchall()[0][0] > 0  # one was on its way
        con.execute(f"{change} where {late}", {"t0": t0})
    assert_frame_equal(issue_forecasts(altered, NOW, t0), expected, check_exact=True)
    with altered.warehouse.write(NOW) as con:
        con.execute(change)
    assert not issue_forecasts(altered, NOW, t0).equals(expected)


def test_a_forecast_issued_live_is_that_of_a_backtest(fitted: Fitted) -> None:
    t0 = NOW.replace(minute=0) - 2 * DAY
    live = issue_forecasts(fitted.settings, NOW, t0).filter(pl.col("variable") == WARMTH)
    served = copy(fitted.forecaster)
    served.weights = served.refreshed
    block = open_block(
        served,
        fitted.versions,
        fitted.stations,
        1,
        t0,
        t0 + HOUR,
        external_forecasts=fitted.external_forecasts,
    )
    [(_, quantiles, _, _)] = served.predict(block.windows, block.stations, block.origins, ["gru"])
    at = fitted.forecaster.header.targets.index(WARMTH)
    np.testing.assert_allclose(live["q05"].to_numpy().reshape(4, 24), quantiles["gru"][:, :, at, 0], atol=1e-4)


def test_a_snapshot_without_them_is_what_it_was_and_with_them_another(fitted: Fitted, tmp_path: Path) -> None:
    shutil.copytree(fitted.settings.data, tmp_path / "data")
    bare = settings_in(tmp_path)
    with bare.warehouse.write(NOW) as con:
        con.execute("delete from external_forecasts")
    snapshot = write_snapshot(bare, NOW)
    assert {path.name for path in snapshot.iterdir()} == {"observations.parquet", "stations.parquet"}
    assert snapshot.name != write_snapshot(fitted.settings, NOW).name


def test_a_snapshot_with_a_station_moved_is_another(fitted: Fitted, tmp_path: Path) -> None:
    shutil.copytree(fitted.settings.data, tmp_path / "data")
    moved = settings_in(tmp_path)
    before = write_snapshot(moved, NOW).name
    assert before == write_snapshot(moved, NOW).name
    with moved.warehouse.write(NOW) as con:
        con.execute("update stations set elevation_m = elevation_m + 100")
    assert write_snapshot(moved, NOW).name != before
