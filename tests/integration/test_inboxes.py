"""Folders that files are dropped into: nothing is passed over because other files came before, or were put away."""

import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from daycast.settings import Settings
from daycast.steps.doctor import examine
from daycast.steps.ingest import Ingested, ingest_source
from daycast.times import DAY

NOW = datetime(2026, 5, 12, tzinfo=UTC)
ROOF = """
[[sources]]
kind = "csv"
name = "roof"
files = "in/*.csv"
after = { move_to = "done" }
station = { constant = "roof" }
time = "time"
columns = { air_temperature_c = "temp" }
"""
ISSUED = """
[[sources]]
kind = "csv"
name = "issued"
files = "in/*.csv"
after = { move_to = "done" }
station = "station"
time = "valid"
forecast = { issued = "issued", received = "received" }
columns = { air_temperature_c = "temp" }
"""


def configure(folder: Path, text: str) -> Settings:
    return Settings.model_validate(tomllib.loads(text), context={"folder": folder})


def drop(folder: Path, name: str, *lines: str) -> None:
    path = folder / "in" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, (0, 0))


def ingest(settings: Settings, now: datetime = NOW) -> Ingested:
    return ingest_source(settings, settings.sources[0], now)


def hour(folder: Path, number: int) -> None:
    drop(folder, f"{number:02d}.csv", "time,temp", f"2026-05-10T{number:02d}:00Z,{number}")


def doctor(settings: Settings) -> str:
    return next(one.detail for one in examine(settings, NOW) if one.check == "source roof")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_forecast_received_before_others_that_are_here_is_taken_in(tmp_path: Path) -> None:
    """A file of the archive, dropped in after newer ones: its stated receipts are older than anything known."""
    settings = configure(tmp_path, ISSUED)
    header = "station,issued,received,valid,temp"
    drop(tmp_path, "new.csv", header, "A,2026-05-10T00:00Z,2026-05-10T03:00Z,2026-05-10T05:00Z,5")
    assert ingest(settings).kept == 1
    drop(tmp_path, "old.csv", header, "A,2026-05-01T00:00Z,2026-05-01T03:00Z,2026-05-01T05:00Z,7")
    assert ingest(settings, NOW + DAY).kept == 1
    assert (names(tmp_path / "in"), names(tmp_path / "done")) == ([], ["new.csv", "old.csv"])


def test_files_put_away_that_an_older_warehouse_lacks_are_told_and_can_be_moved_back(tmp_path: Path) -> None:
    """As after a backup of the warehouse was put back."""
    settings = configure(tmp_path, ROOF)
    hour(tmp_path, 1)
    ingest(settings)
    backup = (tmp_path / "data" / "warehouse.duckdb").read_bytes()
    for number in (2, 3):
        hour(tmp_path, number)
    ingest(settings)
    hour(tmp_path, 3)  # a name that is there already
    ingest(settings)
    assert names(tmp_path / "done") == ["01.csv", "02.csv", "03-2.csv", "03.csv"]
    (tmp_path / "done" / "notes.txt").write_text("of no concern\n")
    assert "put away" not in doctor(settings)
    (tmp_path / "data" / "warehouse.duckdb").write_bytes(backup)
    assert "3 of the 4 files put away are in no batch (02.csv, 03-2.csv…): if an older" in doctor(settings)
    for path in (tmp_path / "done").glob("*.csv"):
        path.rename(tmp_path / "in" / path.name)
    again = ingest(settings)
    assert (again.kept - again.repeated, names(tmp_path / "in")) == (2, [])
    assert "put away" not in doctor(settings)
