"""Twelve real sites and the year to be judged on, for the benchmarks that need them; taken in once, into a given folder."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

TRAINED_UNTIL = datetime(2015, 3, 1, tzinfo=UTC)
SINCE, UNTIL, EVERY = TRAINED_UNTIL, datetime(2016, 2, 28, tzinfo=UTC), timedelta(hours=24)  # hours of issue
NOW = datetime(2016, 3, 2, tzinfo=UTC)  # after the last reading of the files
CONFIGS = Path(__file__).parents[1] / "realdata"
FILES = Path(__file__).parents[3] / "shared" / "data" / "beijing"


def open_beijing(data: Path, config: str = "beijing.toml"):
    """Settings with their state in `data`, where everything has been taken in."""
    from daycast.settings import load_settings
    from daycast.steps.ingest import ingest_source

    os.environ["DAYCAST_DATA"] = str(data.resolve())
    settings = load_settings(str(CONFIGS / config))
    if not settings.warehouse.exists():
        if not FILES.is_dir():
            raise SystemExit(f"{FILES} is not there: give a folder with an ingested warehouse, --data FOLDER")
        ingest_source(settings, settings.sources[0], NOW)
    return settings


def train(settings, model) -> str:
    """`daycast retrain --until 2015-03-01` with this model configuration; returns the network's id, promoted or not."""
    from daycast.model.checkpoint import read_header
    from daycast.steps.judge import judge
    from daycast.steps.retrain import fit_snapshot, register, write_snapshot

    snapshot = write_snapshot(settings, TRAINED_UNTIL)
    checkpoint = fit_snapshot(snapshot, settings.checkpoints, settings.glossary, model, lambda _: None)
    register(settings, checkpoint, *judge(settings, checkpoint, TRAINED_UNTIL), TRAINED_UNTIL)
    return read_header(checkpoint).model_id
