"""The champion's calibration follows what its forecasts came to, week by week, and looks at nothing later."""

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch

from daycast.features.neighbours import NOBODY
from daycast.model.calibration.hindcasts import make_hindcasts
from daycast.model.checkpoint import load_checkpoint
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.calibrate import calibrate
from daycast.steps.evaluate import calibrate_weekly, open_block
from daycast.steps.forecast import issue_forecasts, make_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.verify import verify_forecasts
from daycast.times import DAY, EPOCH, HISTORY_HOURS, HORIZON_HOURS, HOUR, floor_hour, hours_between
from daycast.warehouse.models import read_calibrations, read_champion, read_fallbacks
from daycast.warehouse.observations import read_extent, read_stations, read_versions

pytestmark = pytest.mark.slow

LEVELS = ["q05", "q10", "q25", "q50", "q75", "q90", "q95"]


def calibrations_at(settings: Settings, as_of: datetime) -> pl.DataFrame:
    with settings.warehouse.write(as_of) as con:
        return read_calibrations(con, read_champion(con).model_id, as_of)


def made(settings: Settings, now: datetime, at: datetime) -> pl.DataFrame:
    rows = make_forecasts(settings, now, at).sort("station_id", "variable", "lead_hours")
    return rows.select("station_id", "variable", "lead_hours", *LEVELS)


def test_a_calibration_is_learned_once_a_week(trained) -> None:
    due = []
    for days in (0, 0, 6, 7, 8):
        now = trained.at + days * DAY
        ingest_source(trained.settings, trained.settings.sources[0], now)
        due.append(calibrate(trained.settings, now))
    assert due == [True, False, False, True, False]
    rows = calibrations_at(trained.settings, trained.at + 8 * DAY)
    assert rows["calibrated_at"].unique().to_list() == [floor_hour(trained.at + 7 * DAY)]
    with trained.settings.warehouse.write(trained.at) as con:
        fallbacks = read_fallbacks(con, read_champion(con).model_id)
    serving = {"gru", *(one.forecaster for one in fallbacks)}
    expected = {(name, target) for name in serving for target in ("air_temperature_c", "precipitation_mm")}
    assert set(rows.select("forecaster", "variable").rows()) == expected


def test_a_large_network_is_calibrated_a_part_of_the_time_and_some_stations_at_once(trained, copy_of, monkeypatch):
    settings, read = trained.settings, []
    in_parts = copy_of(settings, "in_parts")

    def noted(con, since, until, as_of, stations):
        read.append((since, until, len(stations)))
        return read_versions(con, since, until, as_of, stations)

    monkeypatch.setattr("daycast.steps.calibrate.read_versions", noted)
    later = trained.at + 20 * DAY
    for one in (settings, in_parts):
        ingest_source(one, one.sources[0], later)
    assert calibrate(settings, later)
    (whole,) = read
    monkeypatch.setattr("daycast.steps.calibrate._STATIONS", 3)
    monkeypatch.setattr("daycast.steps.calibrate._ROWS_AT_ONCE", 1)
    monkeypatch.setattr("daycast.steps.calibrate._SHORTEST_PART", 7 * DAY)
    monkeypatch.setattr(
        "daycast.steps.calibrate.find_neighbours", lambda stations: np.full((len(stations), 24), NOBODY)
    )
    read.clear()
    assert calibrate(in_parts, later)
    assert len(read) > 2
    assert {count for *_, count in read} == {3}
    assert (read[0][0], read[-1][1]) == whole[:2]
    for one, following in pairwise(read):  # each part begins where the one before ended, with the week before it
        assert following[0] == one[1] - (HISTORY_HOURS + HORIZON_HOURS - 2) * HOUR
    one, other = (np.stack(calibrations_at(each, later)["stretch"].to_list()) for each in (settings, in_parts))
    assert one.shape == other.shape
    assert np.abs(one - other).mean() < 0.2


def test_without_a_champion_there_is_nothing_to_calibrate(tmp_path) -> None:
    settings = Settings.model_validate({}, context={"folder": tmp_path})
    assert not calibrate(settings, datetime.fromisoformat("2026-01-01T00:00:00+00:00"))


def test_a_forecast_is_calibrated_by_what_was_learned_before_its_hour_of_issue(trained) -> None:
    settings, t0 = trained.settings, floor_hour(trained.at)
    raw = {hours: made(settings, trained.at, t0 - hours * HOUR) for hours in (0, 1)}
    assert calibrate(settings, trained.at)
    again = {hours: made(settings, trained.at, t0 - hours * HOUR) for hours in (0, 1)}
    assert again[1].equals(raw[1])  # it was issued before
    warmth, rain = (pl.col("variable") == name for name in ("air_temperature_c", "precipitation_mm"))
    moved = (again[0].filter(warmth)["q90"] - raw[0].filter(warmth)["q90"]).abs()
    assert moved.mean() > 0.01
    same = (frame.filter(rain).select(LEVELS).to_numpy() for frame in (again[0], raw[0]))
    np.testing.assert_allclose(*same, atol=1e-4)  # often exactly none: not to be stretched
    later = trained.at + 7 * DAY
    ingest_source(settings, settings.sources[0], later)
    assert calibrate(settings, later)
    assert made(settings, later, t0).equals(again[0])  # an hour that is forecast again, as things were known at it


def test_the_rows_hold_what_was_learned(trained) -> None:
    """Quantiles that are far too wide, as those of five steps of training are, come nearer to the median."""
    settings, t0 = trained.settings, floor_hour(trained.at)
    width = (pl.col("q90") - pl.col("q10")).mean()
    before = made(settings, trained.at, t0).filter(pl.col("variable") == "air_temperature_c").select(width).item()
    calibrate(settings, trained.at)
    after = made(settings, trained.at, t0).filter(pl.col("variable") == "air_temperature_c").select(width).item()
    stretch = np.array(calibrations_at(settings, t0)["stretch"][0].to_list()).reshape(24, 24, 7)
    mean = (stretch[:, :, 1].mean() + stretch[:, :, 5].mean()) / 2
    assert after / before == pytest.approx(mean, rel=0.25)


def test_the_weeks_of_a_backtest_know_nothing_of_later_ones(trained) -> None:
    settings = trained.settings
    with settings.warehouse.write(trained.at) as con:
        champion = read_champion(con)
        versions = read_versions(con, *read_extent(con, trained.at, read_stations(con)), trained.at)
        versions, stations = keep_usable(versions, list(settings.glossary)), read_stations(con)
    checkpoint = settings.checkpoints / champion.checkpoint
    since = floor_hour(trained.at) - 9 * DAY
    second_week = since + 7 * DAY

    def learned(frame: pl.DataFrame) -> list[torch.Tensor]:
        forecaster = load_checkpoint(checkpoint, "cpu", refreshed=False)
        block = open_block(forecaster, frame, stations, 5, since, floor_hour(trained.at))
        calibrate_weekly(forecaster, ["gru"], block)
        return list(vars(forecaster.calibrations["gru"]).values())

    noise = pl.when(pl.col("known_from") > second_week + timedelta(hours=5)).then(40.0)
    altered = versions.with_columns(noise.otherwise(pl.col("air_temperature_c")).alias("air_temperature_c"))
    plain, disturbed = learned(versions), learned(altered)
    assert len(plain[0]) == 2
    for one, other in zip(plain, disturbed, strict=True):
        assert torch.equal(one, other)
    everything = learned(versions.with_columns(air_temperature_c=pl.lit(40.0)))
    assert not torch.equal(plain[1], everything[1])


def test_a_record_says_which_windows_weights_forecast_that_no_longer_serve(trained) -> None:
    settings, until = trained.settings, floor_hour(trained.at)
    later = until + 3 * DAY
    ingest_source(settings, settings.sources[0], later)
    with settings.warehouse.write(later) as con:
        checkpoint = settings.checkpoints / read_champion(con).checkpoint
        stations = read_stations(con)
        versions = read_versions(con, *read_extent(con, later, stations), later)
        versions = keep_usable(versions, list(settings.glossary))
    for refreshed in (True, False):
        forecaster = load_checkpoint(checkpoint, "cpu", refreshed=refreshed)
        windows = open_block(forecaster, versions, stations, 24).windows
        record = make_hindcasts(forecaster, windows, until - 9 * DAY, later, ["gru"])
        before = record.issued < hours_between(EPOCH, until)
        assert before.any()
        assert not before.all()
        assert torch.equal(record.superseded, before & refreshed)


def test_the_view_sets_what_came_against_what_was_promised(trained) -> None:
    settings = trained.settings
    issue_forecasts(settings, trained.at)
    later = trained.at + 2 * DAY
    ingest_source(settings, settings.sources[0], later)
    verify_forecasts(settings, later)
    with settings.warehouse.write(later) as con:
        shown = con.sql("from calibration").pl()
        errors = con.sql("from forecast_errors").pl().filter(pl.col("observed").is_not_null())
    assert shown["n"].sum() == len(errors)
    for row in shown.filter(pl.col("lead_hours").is_in([1, 24])).to_dicts():
        keys = ("variable", "forecaster", "lead_hours", "input_regime")
        mine = [e for e in errors.to_dicts() if all(e[k] == row[k] for k in keys)]
        assert row["n"] == len(mine)
        for level in LEVELS:
            share = sum(e["observed"] <= e[level] for e in mine) / len(mine)
            assert row[f"below_{level[1:]}"] == pytest.approx(share)
        inside = sum(e["q10"] <= e["observed"] <= e["q90"] for e in mine) / len(mine)
        assert row["coverage_80"] == pytest.approx(inside)
