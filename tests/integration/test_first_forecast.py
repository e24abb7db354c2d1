"""Before there are networks a baseline serves, and whether networks are due is seen by what was trained."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from daycast.errors import NotEnoughDataError
from daycast.model.checkpoint import load_checkpoint, read_header
from daycast.settings import Settings
from daycast.steps.calibrate import calibrate
from daycast.steps.evaluate import evaluate_holdout
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.train import Outcome, fit_snapshot, has_champion, minutes_due, register, write_snapshot
from daycast.warehouse.models import read_champion, read_holdout_scores, read_models
from integration.conftest import TRAINED_AT, small_settings
from integration.made_once import made_once

pytestmark = pytest.mark.slow

WEEK = timedelta(days=7)


def retrain(settings: Settings, now, **model) -> Outcome:
    config = replace(settings.model, **model)
    checkpoint = fit_snapshot(
        write_snapshot(settings, now), settings.checkpoints, settings.glossary, config, lambda _: None
    )
    return register(settings, checkpoint, *evaluate_holdout(settings, checkpoint, now), now)


def fit_baselines(folder) -> None:
    settings = small_settings(folder)
    ingest_source(settings, settings.sources[0], TRAINED_AT)
    retrain(settings, TRAINED_AT, ensemble_size=0)


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Settings:
    """Four stations for which the baselines alone were fitted; read only."""
    return small_settings(made_once(tmp_path_factory, "first_forecast", fit_baselines))


def test_the_baselines_of_a_first_fit_are_judged_on_weeks_that_they_have_not_seen(first: Settings) -> None:
    with first.warehouse.write(TRAINED_AT) as con:
        champion = read_champion(con)
        judged = read_holdout_scores(con, champion.model_id)
    assert champion.forecaster in ("ridge", "base", "climatology", "persistence", "same_hour_yesterday")
    assert set(judged["forecaster"]) == {"ridge", "base", "climatology", "persistence", "same_hour_yesterday"}
    header = read_header(first.checkpoints / champion.checkpoint)
    assert (header.cell, header.members, header.has_holdout) == ("", (), True)
    assert judged["since"].min().isoformat() >= header.calibrated_until
    assert load_checkpoint(first.checkpoints / champion.checkpoint, "cpu").names[-2:] == ("ridge", "base")


def test_whoever_serves_first_forecasts_and_is_calibrated(first: Settings, copy_of: Callable) -> None:
    settings = copy_of(first, "own")
    rows = issue_forecasts(settings, TRAINED_AT)
    assert len(rows) == 4 * 2 * 24
    assert calibrate(settings, TRAINED_AT)


def test_after_a_first_fit_networks_are_due_at_once_and_get_the_minutes_of_a_first_training(first: Settings) -> None:
    assert has_champion(first, TRAINED_AT)
    assert minutes_due(first, TRAINED_AT) == first.model.first_max_minutes == 3.0


def test_where_no_networks_are_wanted_a_fit_of_baselines_is_all_that_is_due(first: Settings) -> None:
    none = first.model_copy(update={"model": replace(first.model, ensemble_size=0)})
    assert minutes_due(none, TRAINED_AT) is None
    assert minutes_due(none, TRAINED_AT + WEEK) == none.model.max_minutes


@pytest.mark.slow
def test_networks_are_due_a_week_after_networks_were_trained_whoever_serves(first: Settings, copy_of: Callable) -> None:
    settings = copy_of(first, "own")
    outcome = retrain(settings, TRAINED_AT)
    assert minutes_due(settings, TRAINED_AT) is None
    assert minutes_due(settings, TRAINED_AT + WEEK) == settings.model.max_minutes == 10.0
    with settings.warehouse.write(TRAINED_AT) as con:
        registered, champion = read_models(con), read_champion(con)
    assert "gru" in registered["forecaster"].to_list()
    assert champion.model_id == outcome.model_id
    assert "champion" not in outcome.decision.rivals  # a baseline of the same data is among the challenger's own


def young(folder: Path, hours: int) -> Settings:
    settings = small_settings(folder)
    source = settings.sources[0].model_copy(update={"history": timedelta(hours=hours)})
    ingest_source(settings, source, TRAINED_AT)
    return settings


@pytest.mark.parametrize("hours", [25, 48, 120])
def test_from_the_first_day_on_the_base_network_serves(tmp_path: Path, hours: int) -> None:
    settings = young(tmp_path, hours)
    outcome = retrain(settings, TRAINED_AT)
    assert (outcome.decision.promoted, outcome.decision.winner) == (True, "base")
    rows = issue_forecasts(settings, TRAINED_AT)
    assert len(rows) == 4 * 2 * 24
    assert rows["value"].is_not_nan().all()
    widths = rows.filter(pl.col("variable") == "air_temperature_c").select(pl.col("q95") - pl.col("q05")).to_series()
    assert widths.min() > 0.5  # intervals of its own, not those of residuals that nobody has seen
    assert calibrate(settings, TRAINED_AT) == (hours > 25)  # by hours before the fit, too: it has learned from none


def test_before_the_first_day_is_over_nobody_can_forecast(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughDataError, match=r"there are \d+ hours of history and 24 are the least"):
        retrain(young(tmp_path, 8), TRAINED_AT)


def test_without_the_base_network_two_days_are_needed(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughDataError, match=r"there are \d+ hours of history and 49 are the least"):
        retrain(young(tmp_path, 40), TRAINED_AT, base=False)


def test_a_folder_without_a_model_has_a_first_training_due(tmp_path) -> None:
    settings = small_settings(tmp_path)
    assert not has_champion(settings, TRAINED_AT)
    assert minutes_due(settings, TRAINED_AT) == 3.0
