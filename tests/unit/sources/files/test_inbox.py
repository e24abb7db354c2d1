import gzip
import io
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from daycast.errors import SourceError
from daycast.sources.files import csv, inbox
from daycast.sources.files.csv import CsvSource
from daycast.sources.files.parquet import ParquetSource
from daycast.variables import BUILT_IN

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
MAPPING = {
    "name": "roof",
    "station": {"constant": "roof"},
    "time": "time",
    "columns": {"air_temperature_c": "t"},
}
MOVED = {"after": {"move_to": "done"}}
ROW = "time,t\n2024-01-01T00:00,1\n"
NOW = time.time()
COARSE_S = 2.0  # the resolution of the coarsest file systems
time_in = inbox._time_in


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch):
    """By which no file comes of age during a test."""
    monkeypatch.setattr(inbox, "_time_in", lambda _: NOW)


def source(folder: Path, kind=CsvSource, **settings):
    files = "in/*.csv" if kind is CsvSource else "in/*.parquet"
    return kind.model_validate({"files": files} | MAPPING | settings, context={"folder": folder})


def fetch(folder: Path, seen=(), until=FOREVER, **settings):
    return list(source(folder, **settings).fetch(None, until, BUILT_IN, seen))


def drop(folder: Path, name="in/a.csv", content: str | bytes = ROW, age_s=3600.0) -> Path:
    """A file that was last written to `age_s` ago."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (NOW - age_s,) * 2)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def parquet_bytes() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"time": [datetime(2024, 1, 1, tzinfo=UTC)], "t": [1.0]}).write_parquet(buffer)
    return buffer.getvalue()


# which files are ready


@pytest.mark.parametrize(("age_s", "settle", "read"), [(2, "10s", 0), (20, "10s", 1), (2, "0s", 1), (20, "1min", 0)])
def test_a_file_written_to_less_than_settle_ago_is_left_for_the_next_run(tmp_path, age_s, settle, read):
    drop(tmp_path, age_s=age_s)
    assert len(fetch(tmp_path, settle=settle)) == read


def test_by_default_a_file_that_stays_is_read_at_once_and_one_that_is_moved_is_not(tmp_path):
    path = drop(tmp_path, age_s=1)
    assert len(fetch(tmp_path)) == 1
    assert fetch(tmp_path, **MOVED) == []
    os.utime(path, (NOW - 10,) * 2)
    assert len(fetch(tmp_path, **MOVED)) == 1


def test_a_young_file_that_ends_in_the_middle_of_a_line_is_left_and_an_old_one_is_read(tmp_path):
    path = drop(tmp_path, content="time,t\n2024-01-01T00:00,12", age_s=1)
    assert fetch(tmp_path) == []
    assert len(fetch(tmp_path, settle="0s")) == 1
    os.utime(path, (NOW - 10,) * 2)
    [batch] = fetch(tmp_path)
    assert batch.readings["air_temperature_c"].to_list() == [12.0]


@pytest.mark.parametrize("content", ["", gzip.compress(ROW.encode() * 50)[:-9]])
def test_a_young_file_that_is_empty_or_cut_off_is_left_and_an_old_one_is_an_error(tmp_path, content):
    drop(tmp_path, content=content, age_s=1)
    assert fetch(tmp_path) == []
    drop(tmp_path, content=content, age_s=10)
    with pytest.raises(SourceError, match=r"in/a\.csv is (empty|a damaged or incomplete gzip)"):
        fetch(tmp_path)


@pytest.mark.parametrize("cut", [0, 2, 4, 100, -1])
def test_a_young_parquet_file_without_its_footer_is_left_and_an_old_one_is_an_error(tmp_path, cut):
    content = parquet_bytes()[:cut]
    drop(tmp_path, "in/a.parquet", content, age_s=1)
    assert fetch(tmp_path, kind=ParquetSource) == []
    drop(tmp_path, "in/a.parquet", content, age_s=10)
    with pytest.raises(SourceError, match=r"in/a\.parquet (is empty|lacks the footer)"):
        fetch(tmp_path, kind=ParquetSource)


def test_a_file_dated_ahead_by_another_clock_counts_as_written_when_it_came(tmp_path, monkeypatch):
    drop(tmp_path, age_s=-86400)
    assert fetch(tmp_path, settle="10s") == []
    now = time_in(tmp_path)
    monkeypatch.setattr(inbox, "_time_in", lambda _: now + 11)
    assert len(fetch(tmp_path, settle="10s")) == 1


def test_the_time_of_a_folder_is_told_without_leaving_a_trace(tmp_path):
    before = tmp_path.stat().st_mtime_ns
    begun = time.time()
    assert begun - COARSE_S <= time_in(tmp_path) <= time.time() + COARSE_S
    assert names(tmp_path) == []
    assert tmp_path.stat().st_mtime_ns == before


def test_the_time_of_a_folder_that_cannot_be_written_is_that_of_this_machine(tmp_path):
    begun = time.time()
    assert begun - COARSE_S <= time_in(tmp_path / "missing") <= time.time() + COARSE_S


# while others write


def test_a_file_that_vanished_after_it_was_listed_is_left_out(tmp_path):
    for name in ("in/a.csv", "in/b.csv", "in/c.csv"):
        drop(tmp_path, name)
    batches = source(tmp_path).fetch(None, FOREVER, BUILT_IN, ())
    assert next(batches).origin == "in/a.csv"
    (tmp_path / "in/b.csv").unlink()
    assert [batch.origin for batch in batches] == ["in/c.csv"]


def test_a_link_that_leads_nowhere_is_no_file(tmp_path):
    drop(tmp_path)
    (tmp_path / "in/b.csv").symlink_to(tmp_path / "missing.csv")
    assert [batch.origin for batch in fetch(tmp_path)] == ["in/a.csv"]


def test_a_bad_file_keeps_no_good_one_back_and_several_are_counted(tmp_path):
    drop(tmp_path, "in/a.csv", "x\n1\n")
    drop(tmp_path, "in/b.csv")
    drop(tmp_path, "in/c.csv", "")
    batches = source(tmp_path).fetch(None, FOREVER, BUILT_IN, ())
    assert next(batches).origin == "in/b.csv"
    with pytest.raises(SourceError, match=r"^in/a\.csv has no column 'time'.* \(and 1 more file cannot be read\)$"):
        next(batches)


def test_a_file_that_is_written_to_while_it_is_read_is_left_where_it_would_be_lost(tmp_path, monkeypatch):
    path = drop(tmp_path)
    look = csv.survey_text

    def look_and_append(*given):
        found = look(*given)
        with path.open("a") as file:
            file.write("2024-01-01T01:00,2\n")
        return found

    monkeypatch.setattr(csv, "survey_text", look_and_append)
    assert fetch(tmp_path, **MOVED) == []
    drop(tmp_path)
    assert len(fetch(tmp_path)) == 1  # it stays and is read again


# what becomes of them


def test_a_file_stays_where_it_is_unless_told_otherwise(tmp_path):
    drop(tmp_path)
    [batch] = fetch(tmp_path)
    batch.finish()
    assert names(tmp_path) == ["in/a.csv"]


def test_a_file_is_moved_when_its_batch_is_finished_and_no_sooner(tmp_path):
    drop(tmp_path)
    [batch] = fetch(tmp_path, **MOVED)
    assert names(tmp_path) == ["in/a.csv"]
    batch.finish()
    assert names(tmp_path) == ["done/a.csv"]
    assert (tmp_path / "done/a.csv").read_text() == ROW
    assert fetch(tmp_path, **MOVED) == []  # an empty folder is no error now


def test_a_parquet_file_is_moved_too(tmp_path):
    drop(tmp_path, "in/a.parquet", parquet_bytes())
    [batch] = fetch(tmp_path, kind=ParquetSource, **MOVED)
    batch.finish()
    assert names(tmp_path) == ["done/a.parquet"]


def test_no_file_is_ever_overwritten(tmp_path):
    for number in range(3):
        drop(tmp_path, content=f"time,t\n2024-01-01T00:00,{number}\n")
        [batch] = fetch(tmp_path, **MOVED)
        batch.finish()
    assert names(tmp_path) == ["done/a-2.csv", "done/a-3.csv", "done/a.csv"]
    assert [(tmp_path / name).read_text()[-2] for name in names(tmp_path)] == ["1", "2", "0"]


@pytest.mark.parametrize(("name", "kind"), [("a.csv", CsvSource), ("a.parquet", ParquetSource)])
def test_a_file_that_a_killed_run_had_ingested_is_moved_by_the_next_one(tmp_path, name, kind):
    drop(tmp_path, f"in/{name}", ROW if kind is CsvSource else parquet_bytes())
    [batch] = fetch(tmp_path, kind=kind, **MOVED)
    assert fetch(tmp_path, kind=kind, seen={batch.fingerprint}, **MOVED) == []
    assert names(tmp_path) == [f"done/{name}"]


def test_how_files_come_changes_no_fingerprint(tmp_path):
    drop(tmp_path)
    [plain], [moved], [settled] = (fetch(tmp_path, **settings) for settings in ({}, MOVED, {"settle": "1min"}))
    assert plain.fingerprint == moved.fingerprint == settled.fingerprint


def test_a_file_that_changed_since_it_was_read_stays_to_be_read_again(tmp_path):
    path = drop(tmp_path)
    [batch] = fetch(tmp_path, **MOVED)
    path.write_text(ROW + "2024-01-01T01:00,2\n")
    batch.finish()
    assert names(tmp_path) == ["in/a.csv"]


def test_a_file_that_somebody_else_moved_is_no_error(tmp_path):
    path = drop(tmp_path)
    [batch] = fetch(tmp_path, **MOVED)
    path.unlink()
    batch.finish()
    assert names(tmp_path) == []


def test_a_file_that_somebody_else_moves_in_the_same_moment_is_no_error(tmp_path, monkeypatch):
    drop(tmp_path)
    [batch] = fetch(tmp_path, **MOVED)
    replace = Path.replace

    def come_too_late(self, target):
        self.unlink()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", come_too_late)
    batch.finish()
    assert names(tmp_path) == []


def test_a_link_is_read_and_stays(tmp_path):
    real = drop(tmp_path, "elsewhere/a.csv")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").symlink_to(real)
    [batch] = fetch(tmp_path, **MOVED)
    batch.finish()
    assert names(tmp_path) == ["elsewhere/a.csv", "in/a.csv"]


def test_what_was_moved_is_not_read_again_where_the_glob_reaches_it(tmp_path):
    drop(tmp_path, "in/a.csv")
    drop(tmp_path, "in/done/b.csv")
    found = fetch(tmp_path, files="in/**/*.csv", after={"move_to": "in/done"})
    assert [batch.origin for batch in found] == ["in/a.csv"]


def test_a_folder_that_is_missing_is_an_error_though_an_empty_one_is_not(tmp_path):
    (tmp_path / "in").mkdir()
    assert fetch(tmp_path, **MOVED) == []
    with pytest.raises(SourceError, match=r"no file matches 'inn/\*\.csv'"):
        fetch(tmp_path, files="inn/*.csv", **MOVED)
    with pytest.raises(SourceError, match=r"no file matches 'in/\*\.csv'"):
        fetch(tmp_path)


@pytest.mark.parametrize("folder", ["..", "../done", "/srv/done", "a/../../done", ".", "", "~/done"])
def test_files_are_moved_only_within_the_folder_of_the_configuration(tmp_path, folder):
    with pytest.raises(ValidationError, match="is not inside the configuration's folder"):
        source(tmp_path, after={"move_to": folder})


def test_a_link_leads_no_file_out_of_the_folder_of_the_configuration(tmp_path):
    (tmp_path / "conf").mkdir()
    drop(tmp_path, "conf/in/a.csv")
    (tmp_path / "conf/done").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(SourceError, match=r"after\.move_to 'done' leads to"):
        fetch(tmp_path / "conf", **MOVED)


def test_files_are_not_moved_to_where_they_are_read(tmp_path):
    with pytest.raises(ValidationError, match=r"'in/\*\.csv' are read from the folder that after\.move_to"):
        source(tmp_path, after={"move_to": "./in"})


@pytest.mark.parametrize("after", ["delete", {"move": "done"}, {}])
def test_only_keeping_and_moving_is_known(tmp_path, after):
    with pytest.raises(ValidationError, match="after"):
        source(tmp_path, after=after)


def test_a_file_that_cannot_be_moved_says_so_and_leaves_nothing_behind(tmp_path):
    drop(tmp_path)
    (tmp_path / "done").write_text("a file where a folder should be")
    [batch] = fetch(tmp_path, **MOVED)
    with pytest.raises(SourceError, match=r"in/a\.csv was ingested but cannot be moved to .*done"):
        batch.finish()
    assert names(tmp_path) == ["done", "in/a.csv"]


def test_a_move_to_another_file_system_says_so_and_leaves_nothing_behind(tmp_path, monkeypatch):
    drop(tmp_path)
    [batch] = fetch(tmp_path, **MOVED)

    def refuse(self, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(
        SourceError, match=r"Invalid cross-device link; after\.move_to must be a writable folder on the same file"
    ):
        batch.finish()
    assert names(tmp_path) == ["in/a.csv"]


def test_rows_that_wait_for_their_time_are_counted_and_the_file_is_not_complete(tmp_path):
    drop(tmp_path, content=ROW + "2024-01-02T00:00,2\n")
    [batch] = fetch(tmp_path, until=datetime(2024, 1, 1, 12, tzinfo=UTC))
    assert (batch.readings.height, batch.waiting, batch.complete) == (1, 1, False)
