"""One process at a time: whoever comes second waits, and says so when the wait was in vain."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from daycast.errors import WarehouseError
from daycast.variables import BUILT_IN
from daycast.warehouse.warehouse import Warehouse, frames, transaction

pytestmark = pytest.mark.slow

NOW = datetime(2026, 2, 1, tzinfo=UTC)
HOLD = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.readline()"


@contextmanager
def held_by_another_process(path: Path) -> Iterator[Callable[[], None]]:
    """Another process that has the file open; the function given lets it go."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"

        def release() -> None:
            other.stdin.write("\n")
            other.stdin.flush()

        yield release
        other.communicate()


def test_a_held_warehouse_is_waited_for_in_vain_and_then_named(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with held_by_another_process(path):
        started = time.monotonic()
        with (
            pytest.raises(WarehouseError, match=r"warehouse\.duckdb is held by another process \(PID \d+\) after 1 s"),
            Warehouse(path, BUILT_IN.values()).write(NOW, wait_s=0.6),
        ):
            pass
        assert time.monotonic() - started >= 0.6


def test_a_warehouse_that_is_let_go_is_entered(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with held_by_another_process(path) as release:
        with (
            pytest.raises(WarehouseError),
            Warehouse(path, BUILT_IN.values()).write(NOW, wait_s=0.0),
        ):
            pass
        release()
        with Warehouse(path, BUILT_IN.values()).write(NOW, wait_s=30.0) as con:
            assert con.execute("select count(*) from readings").fetchall() == [(0,)]


def test_a_file_that_is_no_database_is_named_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_text("a letter, long enough to be taken for a file of some kind " * 100)
    with pytest.raises(WarehouseError, match="is damaged"), Warehouse(path, []).write(NOW):
        pass


def test_after_an_error_the_warehouse_is_free_again_and_holds_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"

    def fail() -> None:
        with Warehouse(path, BUILT_IN.values()).write(NOW) as con, transaction(con):
            con.execute("insert into watermarks values ('a', $at)", {"at": NOW})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        assert con.execute("from watermarks").fetchall() == []


def test_frames_have_their_names_for_the_length_of_the_block_alone(tmp_path: Path) -> None:
    import polars as pl

    with Warehouse(tmp_path / "w.duckdb", []).write(NOW) as con:
        with frames(con, new_readings=pl.DataFrame({"x": [1]})):
            assert con.execute("from new_readings").fetchall() == [(1,)]
        with pytest.raises(duckdb.CatalogException):
            con.execute("from new_readings")


def test_whoever_reads_cannot_write_and_leaves_the_warehouse_open_to_the_next(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "w.duckdb", [])
    with pytest.raises(duckdb.TransactionException, match="read-only"), warehouse.read(NOW) as con:
        con.execute("insert into watermarks values ('garden', $1)", [NOW])
    with warehouse.read(NOW) as con:
        assert con.execute("from watermarks").fetchall() == []
    with warehouse.write(NOW) as con:
        con.execute("insert into watermarks values ('garden', $1)", [NOW])
    with warehouse.read(NOW) as con:
        assert con.execute("select source from watermarks").fetchall() == [("garden",)]


def test_times_come_back_in_utc(tmp_path: Path) -> None:
    with Warehouse(tmp_path / "w.duckdb", []).write(NOW) as con:
        assert con.execute("select timestamptz '2026-02-01 02:00:00+02'").fetchall() == [(NOW,)]
        assert con.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]
