"""Four real networks, each taken in once into a folder of its own: Beijing, the Netherlands (KNMI), Brazil (INMET), the US."""

import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "realdata"
FILES = Path(__file__).parents[3] / "shared" / "data"
NOW = datetime(2022, 12, 31, 23, tzinfo=UTC)  # after the last reading of all of them
NETWORKS = {"beijing": "beijing", "knmi": "knmi", "inmet": "inmet", "us": "us_isd"}  # name: its folder in FILES


def open_network(name: str, data: Path):
    """Settings with their state in `data`/`name`, where everything has been taken in."""
    from daycast.settings import Settings
    from daycast.steps.ingest import ingest_source

    table = tomllib.loads((CONFIGS / f"{name}.toml").read_text(encoding="utf-8"))
    table["data"] = str((data / name).resolve())
    settings = Settings.model_validate(table, context={"folder": CONFIGS, "environment": dict(os.environ)})
    if not settings.warehouse_file.exists():
        folder = FILES / NETWORKS[name]
        if not folder.is_dir():
            raise SystemExit(f"{folder} is not there: give a folder with ingested warehouses, --data FOLDER")
        ingest_source(settings, settings.sources[0], NOW)
    return settings
