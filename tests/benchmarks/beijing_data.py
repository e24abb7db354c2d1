"""Twelve real sites and the year to be judged on, for the benchmarks that need them; taken in once, into a given folder."""

import os
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

TRAINED_UNTIL = datetime(2015, 3, 1, tzinfo=UTC)
SINCE, UNTIL, EVERY = TRAINED_UNTIL, datetime(2016, 2, 28, tzinfo=UTC), timedelta(hours=24)  # hours of issue
NOW = datetime(2016, 3, 2, tzinfo=UTC)  # after the last reading of the files
CONFIG = Path(__file__).parents[1] / "realdata" / "beijing.toml"
FILES = Path(__file__).parents[3] / "shared" / "data" / "beijing"


def open_beijing(data: Path, own: Mapping[str, tuple[str, float]] | None = None):
    """Settings with their state in `data`, where everything has been taken in.

    own: columns of the files beyond the weather, declared as variables in µg/m³; of each its column and its highest value.
    """
    from daycast.settings import Settings
    from daycast.steps.ingest import ingest_source

    unit = "µg/m³"
    table = tomllib.loads(CONFIG.read_text(encoding="utf-8")) | {"data": str(data.resolve()), "variables": {}}
    for name, (column, highest) in (own or {}).items():
        table["sources"][0]["columns"][name] = {"column": column, "unit": unit}
        table["variables"][name] = {"unit": unit, "valid_min": 0.0, "valid_max": highest}
    settings = Settings.model_validate(table, context={"folder": CONFIG.parent, "environment": dict(os.environ)})
    if not settings.warehouse_file.exists():
        if not FILES.is_dir():
            raise SystemExit(f"{FILES} is not there: give a folder with an ingested warehouse, --data FOLDER")
        ingest_source(settings, settings.sources[0], NOW)
    return settings


def train(settings, model) -> str:
    """`daycast retrain --until 2015-03-01` with this model configuration; returns the network's id, promoted or not."""
    from daycast.model.checkpoint import read_header
    from daycast.steps.evaluate import evaluate_holdout
    from daycast.steps.train import fit_snapshot, register, write_snapshot

    snapshot = write_snapshot(settings, TRAINED_UNTIL)
    checkpoint = fit_snapshot(snapshot, settings.checkpoints, settings.glossary, model, lambda _: None)
    register(settings, checkpoint, *evaluate_holdout(settings, checkpoint, TRAINED_UNTIL), TRAINED_UNTIL)
    return read_header(checkpoint).model_id
