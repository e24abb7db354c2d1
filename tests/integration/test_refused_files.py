"""Every file that is refused whole leaves its account and its reason, also the second one of a run, and once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from daycast.errors import DaycastError
from daycast.settings import Settings
from daycast.steps.ingest import ingest_source

NOW = datetime(2025, 4, 1, tzinfo=UTC)
SOURCE = {
    "kind": "csv",
    "name": "loggers",
    "files": "*.csv",
    "station": {"constant": "s"},
    "time": "time",
    "columns": {"air_temperature_c": "temp"},
}


def write(path: Path, value: object, header: str = "time,temp") -> None:
    lines = [f"2025-03-{1 + hour // 24:02d} {hour % 24:02d}:00,{value}" for hour in range(30)]
    path.write_text("\n".join([header, *lines, ""]))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write(tmp_path / "a.csv", 500)
    write(tmp_path / "b.csv", 600)
    write(tmp_path / "c.csv", 15)
    write(tmp_path / "d.csv", 15, "when,temp")
    write(tmp_path / "e.csv", 15, "time,temperature")
    return Settings.model_validate({"data": "state", "sources": [SOURCE]}, context={"folder": tmp_path})


def query(settings: Settings, text: str) -> list[tuple]:
    with duckdb.connect(settings.warehouse_file, read_only=True) as con:
        return con.execute(text).fetchall()


def ingest(settings: Settings, now: datetime) -> None:
    with pytest.raises(DaycastError, match=r"a\.csv: 30 of 30 rows are bad"):
        ingest_source(settings, settings.sources[0], now)


@pytest.mark.parametrize("runs", [1, 2])
def test_each_refused_file_has_one_account_with_its_reason(settings: Settings, runs: int):
    for run in range(runs):
        ingest(settings, NOW + timedelta(days=run))
    accounts = query(settings, "select origin, rows_delivered, rows_refused, reason from batches order by origin")
    assert [row[:3] for row in accounts] == [
        ("a.csv", 30, 30),
        ("b.csv", 30, 30),
        ("c.csv", 30, 0),
        ("d.csv", 0, 0),
        ("e.csv", 0, 0),
    ]
    assert "30 of 30 rows are bad" in accounts[0][3]
    assert accounts[3][3].startswith("d.csv has no column 'time'")
    assert accounts[4][3].startswith("e.csv has no column 'temp'")
    rejected = query(
        settings,
        "select origin, count(*) from rejected_readings join batches using (batch_id) group by all order by all",
    )
    assert rejected == [("a.csv", 30), ("b.csv", 30), ("d.csv", 1), ("e.csv", 1)]


def test_a_refused_file_that_was_mended_is_loaded(settings: Settings, tmp_path: Path):
    ingest(settings, NOW)
    write(tmp_path / "d.csv", 16)
    ingest(settings, NOW + timedelta(days=1))
    loaded = query(settings, "select origin from batches where reason is null order by origin")
    assert loaded == [("c.csv",), ("d.csv",)]
