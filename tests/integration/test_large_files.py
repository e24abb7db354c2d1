"""Files of any size take no more memory than a piece of them, and one bad piece costs no other."""

import gzip
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daycast.errors import DaycastError
from daycast.settings import Settings
from daycast.sources.files import csv_table
from daycast.steps.ingest import ingest_source

pytestmark = pytest.mark.slow

START = datetime(2025, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
with_memory_shown = pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="this machine does not show the memory of processes in /proc"
)
GIGABYTE = 2**20  # in the kilobytes that the system counts
READ = """
import sys
from datetime import UTC, datetime
from daycast.errors import SourceError
from daycast.sources.files.csv import CsvSource
from daycast.variables import BUILT_IN
source = CsvSource(name="x", files=sys.argv[1], station="station", time="time", columns={"air_temperature_c": "t"})
try:
    print(sum(delivery.readings.height for delivery in source.fetch(None, datetime(2030, 1, 1, tzinfo=UTC), BUILT_IN, ())))
except SourceError as error:
    print(error)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))  # ru_maxrss counts the parent's
"""


def read_in_a_process(path: Path) -> tuple[str, int]:
    """What a process of its own makes of a file, and the most memory [kB] that it had."""
    few_threads = {**os.environ, "POLARS_MAX_THREADS": "2"}  # each has buffers of its own
    command = [sys.executable, "-c", READ, path]
    run = subprocess.run(command, env=few_threads, capture_output=True, text=True, check=True)
    told, peak = run.stdout.splitlines()
    return told, int(peak)


def ingest(folder: Path, **source: object) -> Settings:
    named = {"kind": "csv", "name": "x", "station": "station", "time": "time", "columns": {"air_temperature_c": "t"}}
    settings = Settings.model_validate({"sources": [named | source]}, context={"folder": folder})
    ingest_source(settings, settings.sources[0], NOW)
    return settings


def count(settings: Settings, table: str) -> int:
    with settings.warehouse.write(NOW) as con:
        [(rows,)] = con.sql(f"select count(*) from {table}").fetchall()
    return rows


def hours(first: int, last: int, value: str = "1") -> str:
    return "".join(f"a,{START + timedelta(hours=hour):%Y-%m-%dT%H:%MZ},{value}\n" for hour in range(first, last))


@with_memory_shown
def test_gzip_of_300_megabytes_of_digits_is_refused_in_one_line_and_little_memory(tmp_path):
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(b"1" * 10**6)
    told, peak = read_in_a_process(path)
    assert peak < 0.5 * GIGABYTE
    assert told == f"{path} has a line of more than 1,048,576 bytes, the limit: is it a table with one row per line?"


@with_memory_shown
def test_a_large_file_is_read_in_the_memory_of_a_piece(tmp_path):
    path = tmp_path / "a.csv.gz"
    block = hours(0, 8760) * 10  # 1.8 MB
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("station,time,t\n")
        for _ in range(70):
            file.write(block)
    told, peak = read_in_a_process(path)
    assert told == str(8760 * 10 * 70)
    assert peak < 0.9 * GIGABYTE  # as a whole it took 1.4


def test_a_bad_piece_of_a_large_file_costs_no_other_and_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 100)
    (tmp_path / "a.csv").write_text("station,time,t\n" + hours(0, 100) + hours(100, 200, "broken") + hours(200, 250))
    with pytest.raises(DaycastError, match=r"^a\.csv from line 102: 100 of 100 rows are bad"):
        ingest(tmp_path, files="a.csv")
    with pytest.raises(DaycastError, match=r"^a\.csv from line 102: 100 of 100 rows are bad"):
        settings = ingest(tmp_path, files="a.csv")
    (tmp_path / "a.csv").write_text("station,time,t\n" + hours(0, 250))
    settings = ingest(tmp_path, files="a.csv")
    assert count(settings, "readings") == 250


def test_dates_that_never_were_are_rejected_and_all_others_are_taken_in(tmp_path):
    bad = "".join(f"a,{time},1\n" for time in ("0001-01-01T00:00:00", "-0004-02-30", "12345-01-01T00:00", "0000-00-00"))
    (tmp_path / "a.csv").write_text("station,time,t\n" + hours(0, 100) + bad)
    settings = ingest(tmp_path, files="a.csv", timezone="Europe/Berlin")
    assert count(settings, "readings") == 100
    assert count(settings, "rejected_readings") == 4
