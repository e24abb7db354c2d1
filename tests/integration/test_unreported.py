"""A variable that a station never reported is not forecast there, unless that is asked for."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from daycast.model.checkpoint import load_checkpoint
from daycast.settings import Settings
from daycast.steps.forecast import issue_forecasts, plan_forecasts
from daycast.steps.ingest import ingest_source
from daycast.times import floor_hour
from daycast.warehouse.models import read_champion
from integration.conftest import TRAINED_AT
from integration.own_network import COLUMNS, SOIL, own_settings, write_readings
from integration.test_changes import retrain

pytestmark = pytest.mark.slow
T0 = floor_hour(TRAINED_AT)


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two weather stations, and a bed that reports soil moisture alone."""
    folder = tmp_path_factory.mktemp("soil")
    write_readings(folder / "readings" / "garden.csv", T0, 70, ["garden", "roof"], ["bed"])
    settings = own_settings(folder, columns={**COLUMNS, "soil_moisture_pct": "soil"}, variables=SOIL)
    ingest_source(settings, settings.sources[0], TRAINED_AT)
    retrain(settings, TRAINED_AT)
    return settings


def imputing(settings: Settings) -> Settings:
    return settings.model_copy(update={"forecast": settings.forecast.model_copy(update={"impute": True})})


def test_a_station_is_forecast_what_it_reports(garden: Settings) -> None:
    # before: the bed got an air temperature of 13.1 °C, and the others soil moisture, all of them with the input regime full
    rows = issue_forecasts(garden, TRAINED_AT)
    of_station = {
        station: set(own["variable"]) for (station,), own in rows.partition_by("station_id", as_dict=True).items()
    }
    assert of_station == {"bed": {"soil_moisture_pct"}, "garden": set(COLUMNS), "roof": set(COLUMNS)}
    assert set(rows["input_regime"]) == {"full"}
    assert plan_forecasts(garden, TRAINED_AT).rows == len(rows) == (1 + 2 * len(COLUMNS)) * 24


def test_what_is_asked_for_all_the_same_is_as_uncertain_as_the_climatology(garden: Settings) -> None:
    rows = issue_forecasts(imputing(garden), TRAINED_AT)
    assert len(rows) == plan_forecasts(imputing(garden), TRAINED_AT).rows == 3 * (1 + len(COLUMNS)) * 24
    imputed = rows.filter((pl.col("station_id") == "bed") != (pl.col("variable") == "soil_moisture_pct"))
    assert set(imputed["forecaster"]) == {"climatology"}
    assert set(imputed["input_regime"]) == {"cold_start"}
    with garden.warehouse.read(TRAINED_AT) as con:
        checkpoint = garden.checkpoints / read_champion(con).checkpoint
    climatology = load_checkpoint(checkpoint, "cpu")
    v = climatology.header.targets.index("air_temperature_c")
    residuals = climatology.residuals["climatology"][:, v].numpy() * climatology.scale.deviation[v]  # (H, Q)
    at_bed = rows.filter(pl.col("station_id") == "bed", pl.col("variable") == "air_temperature_c").sort("lead_hours")
    assert (at_bed["q95"] - at_bed["q05"]).to_list() == pytest.approx(residuals[:, -1] - residuals[:, 0], abs=1e-3)
    others = rows.join(imputed, on=["station_id", "variable"], how="anti")
    assert set(others["input_regime"]) == {"full"}


def test_what_was_ever_reported_and_known_at_the_hour_of_issue_is_forecast(tmp_path: Path) -> None:
    """At one station the thermometer broke three weeks ago, and the rain gauge is six hours old."""
    write_readings(tmp_path / "readings" / "garden.csv", T0, 70, ["garden", "roof"])
    settings = own_settings(tmp_path)
    file = tmp_path / "readings" / "garden.csv"
    broken, bought = T0 - timedelta(days=21), T0 - timedelta(hours=6)
    stamp, of_roof = pl.col("time").str.to_datetime("%Y-%m-%dT%H:%MZ", time_zone="UTC"), pl.col("station") == "roof"
    readings = pl.read_csv(file).with_columns(
        pl.when(of_roof & (stamp > broken)).then(None).otherwise("temp").alias("temp"),
        pl.when(of_roof & (stamp <= bought)).then(None).otherwise("rain").alias("rain"),
    )
    readings.write_csv(file)
    ingest_source(settings, settings.sources[0], TRAINED_AT)
    outcome = retrain(settings, TRAINED_AT)

    def at_roof(t0: datetime) -> set[str]:
        rows = issue_forecasts(settings, TRAINED_AT, t0, model_id=outcome.model_id)
        return set(rows.filter(pl.col("station_id") == "roof")["variable"])

    assert at_roof(T0) == set(COLUMNS)
    assert at_roof(bought) == set(COLUMNS) - {"precipitation_mm"}


def test_blocks_of_stations_agree(garden: Settings) -> None:
    one_by_one = garden.model_copy(update={"compute": garden.compute.model_copy(update={"block_stations": 1})})
    whole, parts = (
        issue_forecasts(imputing(each), TRAINED_AT).sort("station_id", "variable", "lead_hours")
        for each in (garden, one_by_one)
    )
    keys = ["station_id", "variable", "lead_hours", "forecaster", "input_regime"]
    assert whole.select(keys).equals(parts.select(keys))
    assert (whole["value"] - parts["value"]).abs().max() < 1e-3


def test_a_model_whose_baselines_saw_no_truth_imputes_nothing(tmp_path: Path) -> None:
    """Without a single window to score, the climatology has intervals of no width: they would be lies."""
    write_readings(tmp_path / "readings" / "garden.csv", T0, 1, ["garden"], ["bed"])
    settings = own_settings(tmp_path, columns={**COLUMNS, "soil_moisture_pct": "soil"}, variables=SOIL)
    ingest_source(settings, settings.sources[0], TRAINED_AT)
    outcome = retrain(settings, TRAINED_AT)
    assert outcome.decision.winner == "base"
    rows = issue_forecasts(imputing(settings), TRAINED_AT)
    assert set(rows.filter(pl.col("station_id") == "bed")["variable"]) == {"soil_moisture_pct"}
