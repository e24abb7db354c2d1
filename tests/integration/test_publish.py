"""Publishing: readers keep what they opened, see all or nothing, and can alter nothing."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from daycast.errors import StorageError, WarehouseError
from daycast.variables import BUILT_IN
from daycast.warehouse.publish.publication import OWN_TABLES, PUBLIC_TABLES, publish
from daycast.warehouse.publish.query import query_published
from daycast.warehouse.statements import leading_comment, literal, sql_folder
from daycast.warehouse.warehouse import Warehouse

pytestmark = pytest.mark.slow

NOW = datetime(2026, 2, 1, tzinfo=UTC)
READ = """
import duckdb, sys
con = duckdb.connect(sys.argv[1], read_only=True)
for _ in sys.stdin:
    print([name for (name,) in con.execute("select station_id from stations order by all").fetchall()], flush=True)
"""


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as con:
        con.execute("insert into stations (station_id) values ('first')")
        yield con


@pytest.fixture
def published(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Path:
    publish(con, tmp_path / "published.duckdb")
    return tmp_path / "published.duckdb"


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: use `published` to write."""
    folder = tmp_path_factory.mktemp("published")
    with Warehouse(folder / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as con:
        con.execute("insert into stations (station_id) values ('first')")
        publish(con, folder / "published.duckdb")
    return folder / "published.duckdb"


def test_a_reader_keeps_the_old_file_while_the_new_one_is_moved_into_place(
    con: duckdb.DuckDBPyConnection, published: Path
) -> None:
    command = [sys.executable, "-c", READ, str(published)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:

        def read() -> str:
            reader.stdin.write("\n")
            reader.stdin.flush()
            return reader.stdout.readline().strip()

        assert read() == "['first']"
        con.execute("insert into stations (station_id) values ('second')")
        publish(con, published)
        assert read() == "['first']"
        reader.communicate()
    fresh = subprocess.run([*command], input="\n", capture_output=True, text=True, check=True)
    assert fresh.stdout.strip() == "['first', 'second']"


def test_nothing_is_left_beside_the_published_file(published: Path) -> None:
    names = {path.name for path in published.parent.iterdir()}
    assert names - {"warehouse.duckdb", "warehouse.duckdb.wal"} == {"published.duckdb"}


def test_what_a_killed_publication_left_behind_is_cleared_away(con: duckdb.DuckDBPyConnection, published: Path) -> None:
    published.with_suffix(".tmp").write_text("half a database")
    publish(con, published)
    assert query_published(published, "select station_id from stations").rows() == [("first",)]
    assert not list(published.parent.glob("*.tmp"))


@pytest.mark.parametrize("place", ["_create_latest", "_complete", "_check_no_wal", "start_grace_period"])
def test_a_publication_that_fails_leaves_nothing_behind(
    con: duckdb.DuckDBPyConnection, published: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise duckdb.IOException('IO Error: Could not write file "/x": No space left on device')

    con.execute(
        "insert into external_forecasts (station_id, issued_at, valid_at, received_at, batch_id, row_number) "
        "select 'first', now(), now() + interval 1 hour, now(), 'b', 0"
    )
    before, files = published.read_bytes(), set(published.parent.rglob("*"))
    monkeypatch.setattr(f"daycast.warehouse.publish.publication.{place}", fail)
    with pytest.raises(StorageError, match=r"published.duckdb cannot be written: No space left on device"):
        publish(con, published, parquet_above=0)
    assert {file for file in published.parent.rglob("*") if file.is_file()} == {
        file for file in files if file.is_file()
    }
    assert published.read_bytes() == before
    monkeypatch.undo()
    publish(con, published, parquet_above=0)
    assert query_published(published, "select count(*) from external_forecasts").rows() == [(1,)]


def test_public_tables_and_every_view_are_there_and_private_ones_are_not(published_once: Path) -> None:
    views = {path.stem for path in (sql_folder() / "views").glob("*.sql")}
    listed = query_published(published_once, "select table_name from information_schema.tables").rows()
    assert {name for (name,) in listed} == {*PUBLIC_TABLES, *OWN_TABLES} | views
    for view in views:
        assert query_published(published_once, f"select count(*) from {view}").rows() == [
            (0 if view != "station_coverage" else 1,)
        ]
    assert query_published(published_once, "select count(*) from observations_as_of(now())").rows() == [(0,)]


def test_the_comments_are_carried_over(con: duckdb.DuckDBPyConnection, published: Path) -> None:
    tables = f"select table_name, comment from duckdb_tables() where table_name in {PUBLIC_TABLES} order by all"
    of_columns = (
        "select table_name, column_name, comment from duckdb_columns() "
        f"where comment is not null and table_name in {PUBLIC_TABLES} order by all"
    )
    assert query_published(published, tables).rows() == con.execute(tables).fetchall()
    commented = query_published(published, of_columns).rows()
    assert set(con.execute(of_columns).fetchall()) < set(commented)


def test_every_public_column_says_what_it_means(published_once: Path) -> None:
    silent = "select table_name, column_name from duckdb_columns() where comment is null and not internal order by all"
    assert query_published(published_once, silent).rows() == []
    twice = "select comment from duckdb_columns() where table_name = '{}' and column_name = 'value'"
    meanings = {
        query_published(published_once, twice.format(name)).item() for name in ("forecasts", "rejected_readings")
    }
    assert meanings == {
        "The median forecast, in the unit that the variable's name ends in.",
        "The value as it came.",
    }


@pytest.mark.parametrize(("kind", "folder"), [("duckdb_views", "views"), ("duckdb_functions", "macros")])
def test_every_view_and_macro_asks_its_question(published_once: Path, kind: str, folder: str) -> None:
    name = {"views": "view_name", "macros": "function_name"}[folder]
    said = dict(query_published(published_once, f"select {name}, comment from {kind}() where not internal").rows())
    if kind == "duckdb_views":  # this one is a table there
        table = "from duckdb_tables() where table_name = 'latest_forecasts'"
        said |= dict(query_published(published_once, f"select table_name, comment {table}").rows())
    assert said.keys() == {path.stem for path in (sql_folder() / folder).glob("*.sql")}
    assert all("?" in comment for comment in said.values()), said


def test_the_comment_of_a_file_is_the_lines_it_begins_with() -> None:
    assert leading_comment("-- What?\n--  That.\nselect 1; -- no\n-- no") == "What? That."
    assert literal("it's") == "'it''s'"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("select nme from stations", 'Referenced column "nme" not found in FROM clause! Candidate bindings: "name"'),
        ("from forecast", 'Table with name forecast does not exist! Did you mean "forecasts"?'),
        ("selec 1", 'syntax error at or near "selec"'),
    ],
)
def test_a_wrong_query_is_answered_in_one_line_that_helps(published_once: Path, query: str, says: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        query_published(published_once, query)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "LINE" not in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    [
        "insert into stations (station_id) values ('x')",
        "delete from stations",
        "drop table stations",
        "create table mine as select 1 as x",
        "create or replace view champion as select 1 as x",
    ],
)
def test_a_query_may_not_write(published_once: Path, sql: str) -> None:
    with pytest.raises(WarehouseError, match="the query failed"):
        query_published(published_once, sql)
    assert query_published(published_once, "select station_id from stations").rows() == [("first",)]


@pytest.mark.parametrize(
    "sql",
    [
        "from read_csv('{folder}/secret.csv')",
        "from '{folder}/secret.csv'",
        "from read_text('{folder}/secret.csv')",
        "from glob('{folder}/*')",
        "attach '{folder}/warehouse.duckdb' as w",
        "copy stations to '{folder}/stolen.csv'",
        "set enable_external_access = true",
        "install httpfs",
        "export database '{folder}/dump'",
    ],
)
def test_a_query_may_not_reach_other_files(published_once: Path, sql: str) -> None:
    folder = published_once.parent
    (folder / "secret.csv").write_text("word\nhush\n")
    with pytest.raises(WarehouseError, match="the query failed"):
        query_published(published_once, sql.format(folder=folder))
    assert not (folder / "stolen.csv").exists()
    assert not (folder / "dump").exists()


def test_a_wrong_query_and_a_missing_file_are_said_in_one_line(published: Path) -> None:
    with pytest.raises(WarehouseError) as caught:
        query_published(published, "select no_such_column from stations")
    assert "no_such_column" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(WarehouseError, match=r"there is no published file .*gone\.duckdb yet"):
        query_published(published.with_name("gone.duckdb"), "select 1")
