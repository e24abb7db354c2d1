"""Four real networks, each taken in once into a folder of its own: Beijing, the Netherlands (KNMI), Brazil (INMET), the US."""

import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

CONFIGS = Path(__file__).parents[1] / "realdata"
FILES = Path(__file__).parents[3] / "shared" / "data"
NOW = datetime(2022, 12, 31, 23, tzinfo=UTC)  # after the last reading of all of them


class Network(NamedTuple):
    """Where its files are, and what it is judged on."""

    folder: str  # in FILES
    trained_until: datetime
    until: datetime  # the end of the hours of issue that are forecast, from trained_until on


NETWORKS = {
    "beijing": Network("beijing", datetime(2015, 3, 1, tzinfo=UTC), datetime(2016, 2, 28, tzinfo=UTC)),
    "knmi": Network("knmi", datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 12, 31, tzinfo=UTC)),
    "inmet": Network("inmet", datetime(2022, 1, 1, tzinfo=UTC), datetime(2022, 12, 30, tzinfo=UTC)),
    "us": Network("us_isd", datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 12, 31, tzinfo=UTC)),
}


def read_network(name: str, data: Path, since: datetime, until: datetime, left_out: list[str]):
    """Glossary, usable versions of these hours, and stations of a network; of the stations `left_out` alone, if there are any."""
    import polars as pl

    from daycast.quality.flags import keep_usable
    from daycast.warehouse.observations import read_stations, read_versions

    settings = open_network(name, data)
    with settings.warehouse.read(NOW) as con:
        rows, stations = read_versions(con, since, until, NOW), read_stations(con)
    versions, chosen = keep_usable(rows, list(settings.glossary)), pl.col("station_id").is_in(left_out)
    if left_out:
        versions, stations = versions.filter(chosen), stations.filter(chosen)
    return settings.glossary, versions, stations


def read_left_out(folder: Path | None, name: str) -> list[str]:
    """The stations named in `folder`/NAME.out, one a line; none without such a file."""
    listed = folder / f"{name}.out" if folder else None
    return listed.read_text().split() if listed and listed.exists() else []


def open_network(name: str, data: Path):
    """Settings with their state in `data`/`name`, where everything has been taken in."""
    from daycast.settings import Settings
    from daycast.steps.ingest import ingest_source

    table = tomllib.loads((CONFIGS / f"{name}.toml").read_text(encoding="utf-8"))
    table["data"] = str((data / name).resolve())
    settings = Settings.model_validate(table, context={"folder": CONFIGS, "environment": dict(os.environ)})
    if not settings.warehouse_file.exists():
        folder = FILES / NETWORKS[name].folder
        if not folder.is_dir():
            raise SystemExit(f"{folder} is not there: give a folder with ingested warehouses, --data FOLDER")
        ingest_source(settings, settings.sources[0], NOW)
    return settings
