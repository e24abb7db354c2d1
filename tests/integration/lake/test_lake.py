"""A lake is made whole or not at all, lets one writer in at a time, and says in one line what is wrong."""

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import duckdb
import pytest

from daycast.errors import WarehouseError
from daycast.variables import BUILT_IN, Variable
from daycast.warehouse import lake as module
from daycast.warehouse.forecasts import replace_forecasts
from daycast.warehouse.lake import Lake
from daycast.warehouse.statements import sql_folder
from daycast.warehouse.warehouse import Warehouse
from integration.lake.conftest import Postgres
from integration.lake.storm_worker import forecasts

pytestmark = pytest.mark.slow
NOW = datetime(2026, 2, 1, tzinfo=UTC)
SOIL = Variable("soil_moisture_pct", "soil moisture", "%", 0.0, 100.0)
DIE = """
import os, signal, sys
from datetime import UTC, datetime

import daycast.warehouse.migrations as migrate
from daycast.variables import BUILT_IN, Variable
from daycast.warehouse.warehouse import Warehouse
from daycast.warehouse.lake import Lake

catalogue, data, name, fatal = sys.argv[1:]
asked, real = 0, getattr(migrate, name)


def die(*arguments):
    global asked
    asked += 1
    if asked == int(fatal):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)


setattr(migrate, name, die)
soil = Variable("soil_moisture_pct", "soil moisture", "%", 0.0, 100.0)
with Warehouse(Lake(catalogue, data), [*BUILT_IN.values(), soil]).write(datetime(2026, 2, 1, tzinfo=UTC)):
    pass
"""


@pytest.mark.parametrize("exists", [False, True])
def test_a_lake_whose_maker_was_killed_opens_and_is_complete(new_lake: Callable[[], Lake], exists: bool) -> None:
    lake = new_lake()
    if exists:
        with Warehouse(lake, BUILT_IN.values()).write(NOW) as con:
            con.execute("insert into watermarks values ('held', timestamptz '2026-01-01')")
    # in the transaction of a migration (its checksum is noted last), among the columns, in the transaction of the views
    places = [("quoted", 3), ("literal", 1)] if exists else [("_checksum", 1), ("_checksum", 5), ("quoted", 3)]
    for name, fatal in places:
        command = [sys.executable, "-c", DIE, lake.catalogue, lake.data, name, str(fatal)]
        died = subprocess.run(command, check=False, capture_output=True, text=True)
        assert died.returncode == -signal.SIGKILL, died.stderr
    with Warehouse(lake, [*BUILT_IN.values(), SOIL]).write(NOW) as con:
        assert con.execute("select source from watermarks").fetchall() == ([("held",)] if exists else [])
        assert con.execute("select count(soil_moisture_pct) from observation_versions").fetchall() == [(0,)]
        migrations = len(list((sql_folder() / "migrations").glob("*.sql")))
        assert con.execute("select count(*), count(distinct name) from migrations").fetchall() == [(migrations,) * 2]
        for view in (path.stem for path in (sql_folder() / "views").glob("*.sql")):
            assert con.execute(f"select count(*) from {view}").fetchall() == [(0,)]
        assert con.execute("from observations_as_of(now())").fetchall() == []
        silent = "select table_name from duckdb_tables() where database_name = 'warehouse' and comment is null"
        assert con.execute(silent).fetchall() == [("migrations",)]


IN_MID_WRITE = """
import sys
from datetime import UTC, datetime

from daycast.variables import BUILT_IN
from daycast.warehouse.warehouse import Warehouse, transaction
from daycast.warehouse.lake import Lake

with Warehouse(Lake(*sys.argv[1:]), BUILT_IN.values()).write(datetime(2026, 2, 1, tzinfo=UTC)) as con, transaction(con):
    con.execute("update forecasts set value = 2.0")
    print("written", flush=True)
    sys.stdin.readline()
"""


def test_a_database_that_is_killed_in_mid_write_and_started_again_has_lost_nothing(
    new_lake: Callable[[], Lake], postgres: Postgres
) -> None:
    lake = new_lake()
    with Warehouse(lake, BUILT_IN.values()).write(NOW) as con:
        replace_forecasts(con, forecasts(1.0))
    command = [sys.executable, "-c", IN_MID_WRITE, lake.catalogue, lake.data]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as writer:
        assert writer.stdout.readline() == "written\n"
        postgres.kill()
        try:
            writer.communicate("go on\n", timeout=600)
        finally:
            postgres.start()
    assert writer.returncode != 0
    for value in (1.0, 3.0):
        with Warehouse(lake, BUILT_IN.values()).write(NOW, wait_s=300) as con:
            held = con.execute("select count(*), min(value), max(value) from forecasts").fetchall()
            assert held == [(48, value, value)]
            replace_forecasts(con, forecasts(3.0))


def test_a_second_writer_waits_and_says_so_while_a_reader_does_not(new_lake: Callable[[], Lake]) -> None:
    lake = new_lake()
    with Warehouse(lake, BUILT_IN.values()).write(NOW) as con:
        con.execute("insert into watermarks values ('a', $now)", {"now": NOW})
        with duckdb.connect() as reader:
            for name in ("ducklake", "postgres_scanner"):
                module._load(reader, name)
            reader.execute(f"attach 'ducklake:postgres:{lake.catalogue}' as any_name (read_only)")
            reader.execute("use any_name")
            assert reader.execute("select source from watermarks").fetchall() == [("a",)]
            assert reader.execute("select count(*) from skill_by_lead").fetchall() == [(0,)]
            with pytest.raises(duckdb.Error):
                reader.execute("delete from watermarks")
        with (
            pytest.raises(WarehouseError, match="is held by another writer after 0 s of waiting"),
            Warehouse(lake, BUILT_IN.values()).write(NOW, wait_s=0.3),
        ):
            pass
    with Warehouse(lake, BUILT_IN.values()).write(NOW, wait_s=300) as con:
        assert con.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]


@pytest.mark.parametrize("broken", ["server", "database", "password", "extension"])
def test_what_is_not_there_is_named_in_one_line_without_the_password(
    new_lake: Callable[[], Lake], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    lake = new_lake()
    if broken == "server":
        lake = Lake("postgresql://daycast@127.0.0.1:1/d", lake.data)
    elif broken == "database":
        lake = Lake(lake.catalogue + "_not", lake.data)
    elif broken == "password":
        monkeypatch.setenv("PGPASSWORD", "hush, hush")
    else:
        monkeypatch.setattr(module, "_EXTENSIONS", ("duck_pond",))
    expected = "needs DuckDB's extension duck_pond .*pip install" if broken == "extension" else "the lake postgresql://"
    with pytest.raises(WarehouseError, match=expected) as raised, Warehouse(lake, BUILT_IN.values()).write(NOW):
        pass
    assert "\n" not in str(raised.value)
    assert "open sesame" not in str(raised.value)
    assert "hush" not in str(raised.value)
