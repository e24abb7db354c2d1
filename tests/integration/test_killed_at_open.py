"""A process that dies while the warehouse is being made or changed leaves one that opens."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daycast.variables import BUILT_IN, Variable
from daycast.warehouse import warehouse as module
from daycast.warehouse.warehouse import Warehouse

pytestmark = pytest.mark.slow

NOW = datetime(2026, 2, 1, tzinfo=UTC)
SOIL = Variable("soil_moisture_pct", "soil moisture", "%", 0.0, 100.0)
DIE = """
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import daycast.warehouse.warehouse as module
from daycast.variables import BUILT_IN, Variable

path, place, soil = Path(sys.argv[1]), sys.argv[2], Variable("soil_moisture_pct", "soil moisture", "%", 0.0, 100.0)
if place != "open":
    before = getattr(module, place)

    def die_after(*arguments):
        before(*arguments)
        os._exit(9)

    setattr(module, place, die_after)
with module.Warehouse(path, [*BUILT_IN.values(), soil]).write(datetime(2026, 2, 1, tzinfo=UTC)) as con:
    con.execute("insert into watermarks values ('a', timestamptz '2026-01-01')")
    os._exit(9)
"""


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("place", ["migrate", "add_variable_columns", "_bring_up_to_date", "renew_views", "open"])
def test_a_warehouse_whose_maker_died_opens_and_is_complete(tmp_path: Path, place: str, exists: bool) -> None:
    path = tmp_path / "warehouse.duckdb"
    if exists:
        with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
            con.execute("insert into watermarks values ('held', timestamptz '2026-01-01')")
    died = subprocess.run([sys.executable, "-c", DIE, str(path), place], check=False, capture_output=True, text=True)
    assert died.returncode == 9, died.stderr
    with Warehouse(path, [*BUILT_IN.values(), SOIL]).write(NOW) as con:
        sources = {source for (source,) in con.execute("select source from watermarks").fetchall()}
        assert con.execute("select soil_moisture_pct from observation_versions").fetchall() == []
    assert sources == ({"held"} if exists else set()) | ({"a"} if place == "open" else set())
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith("warehouse.duckdb")] == []


DIE_IN_CREATION = """
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import daycast.warehouse.warehouse as module
from daycast.variables import BUILT_IN


class HalfMade:
    def close(self):
        os._exit(9)


def connect(path, **_):  # as far as DuckDB gets before its first header is whole
    Path(path).write_bytes(bytes(100))
    return HalfMade()


duckdb.connect = connect
with module.Warehouse(Path(sys.argv[1]), BUILT_IN.values()).write(datetime(2026, 2, 1, tzinfo=UTC)):
    pass
"""


def test_a_new_file_is_there_as_a_database_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    died = subprocess.run(
        [sys.executable, "-c", DIE_IN_CREATION, str(path)], check=False, capture_output=True, text=True
    )
    assert died.returncode == 9, died.stderr
    assert not path.exists()
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        assert con.execute("select count(*) from readings").fetchall() == [(0,)]


def test_a_file_that_another_made_meanwhile_is_the_one(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        con.execute("insert into watermarks values ('held', timestamptz '2026-01-01')")
    module._create(path)
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        assert con.execute("select source from watermarks").fetchall() == [("held",)]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "warehouse.duckdb"
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        assert con.execute("select count(*) from readings").fetchall() == [(0,)]
    assert list(tmp_path.iterdir()) == [path]
