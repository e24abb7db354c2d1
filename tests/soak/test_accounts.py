"""The accounts of a fault run are in order after a clean ingest, and tell what is wrong where it is not."""

import random
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from daycast.settings import load_settings
from daycast.steps.ingest import ingest_source
from soak.accounts import find_faults
from soak.fault_run import FaultRun
from soak.logbook import Logbook
from soak.spoilt_files import add_bad_row, correct, double_rows

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FaultRun:
    """Some hours of readings, of which some were corrected, doubled or bad, all taken in."""
    run = FaultRun(None, Logbook(tmp_path_factory.mktemp("run") / "folder"), seed=1)
    run.book.begin()
    rng = random.Random(1)
    for _ in range(12):
        run.book.now += timedelta(hours=2)
        run.book.advance(rng)
        correct(run.book, rng)
        double_rows(run.book, rng)
        add_bad_row(run.book, rng, ["a word for a number", "no station", "a word for a time"])
        settings = load_settings(str(run.book.folder / "daycast.toml"))
        standing = run.book.standing()
        for source in settings.sources:
            ingest_source(settings, source, run.book.now)
        run.book.note_taken_in(standing, run.book.now, ("loggers", "inbox", "plant"))
        run.book.note_moved(run.book.now)
    return run


def test_after_clean_ingests_nothing_is_wrong(run: FaultRun, tmp_path: Path) -> None:
    assert len({row.must for _, row, _ in run.book.owed}) == 2
    assert list(find_faults(run.book, tmp_path)) == []


WRONG = {
    "rows are not accounted for": "delete from readings where station_id = 'Bern' and observed_at = '2026-02-20 05:00:00+00'",
    "rows are not accounted for: plant": "update readings set received_at = '2036-01-01' where station_id = 'Werk'",
    "readings that are there twice": "insert into readings select * replace ('other' as batch_id) from readings limit 1",
    "refusals whose batch is missing": "update rejected_readings set batch_id = 'other'",
    "observation_versions lacks": "delete from observation_versions where observed_at = '2026-02-20 05:00:00+00'",
    "stations that nobody has": "insert into readings select * replace ('ZÃ¼rich' as station_id) from readings limit 1",
    "watermarks that lie ahead": "update watermarks set received_until = '2036-01-01'",
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told(run: FaultRun, tmp_path: Path, what: str) -> None:
    path = run.book.folder / "data" / "warehouse.duckdb"
    before = path.read_bytes()
    with duckdb.connect(path) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(WRONG[what])
    try:
        assert what.partition(":")[0] in "\n".join(find_faults(run.book, tmp_path))
    finally:
        path.write_bytes(before)


def test_drafts_are_told(run: FaultRun, tmp_path: Path) -> None:
    draft = run.book.folder / "data" / "published.tmp"
    draft.touch()
    try:
        assert any("left behind" in what for what in find_faults(run.book, tmp_path))
    finally:
        draft.unlink()
