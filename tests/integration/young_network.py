"""A published file with something in every table: three days of forecasts by a young network's baseline, verified."""

from dataclasses import replace
from pathlib import Path

from daycast.settings import Settings
from daycast.steps.evaluate import evaluate_holdout
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.publish import publish_tables
from daycast.steps.train import fit_snapshot, register, write_snapshot
from daycast.steps.verify import verify_forecasts
from daycast.times import DAY, HOUR
from integration.conftest import MODEL, TRAINED_AT

TARGETS = ["air_temperature_c", "precipitation_mm", "wind_speed_m_s"]
LATER = TRAINED_AT + 3 * DAY


def young_settings(folder: Path, parquet_above: int = 5_000_000) -> Settings:
    """Four simulated stations with a month of history."""
    source = {"kind": "simulated", "stations": 4, "history": "30d"}
    tables = {"sources": [source], "model": MODEL | {"targets": TARGETS}, "publish": {"parquet_above": parquet_above}}
    return Settings.model_validate(tables, context={"folder": folder})


def publish_young_network(folder: Path, *, parquet_above: int = 5_000_000) -> Path:
    """Make the network in `folder` and publish it; the newest issue leaves one station out. Returns the published file."""
    settings = young_settings(folder, parquet_above)
    ingest_source(settings, settings.sources[0], LATER)
    checkpoint = fit_snapshot(
        write_snapshot(settings, TRAINED_AT), settings.checkpoints, settings.glossary, settings.model, lambda _: None
    )
    decision, scores = evaluate_holdout(settings, checkpoint, TRAINED_AT)
    register(settings, checkpoint, replace(decision, winner="same_hour_yesterday"), scores, TRAINED_AT)
    for hours in (0, 9, 24, 48, 60):
        stations = ["S0001", "S0002", "S0004"] if hours == 60 else []
        issue_forecasts(settings, TRAINED_AT + hours * HOUR, stations=stations)
    verify_forecasts(settings, LATER)
    return publish_tables(settings, LATER)


def publish_next_hour(folder: Path) -> Path:
    """Ingest, forecast, verify and publish an hour later. Returns the published file."""
    settings, now = young_settings(folder), LATER + HOUR
    ingest_source(settings, settings.sources[0], now)
    issue_forecasts(settings, now)
    verify_forecasts(settings, now)
    return publish_tables(settings, now)
