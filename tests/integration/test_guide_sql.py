"""Every query in README and guide runs on the schema, and what they create can be created."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from daycast.variables import BUILT_IN
from daycast.warehouse.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 2, 1, tzinfo=UTC)
PAGES = [ROOT / "README.md", *sorted((ROOT / "src" / "daycast" / "guide").glob("*.md"))]


def shown_queries() -> list[tuple[str, str]]:
    """The page and the text of each block of SQL, each query handed to `daycast sql`, and each constant QUERY of an example."""
    found = []
    for page in PAGES:
        text = page.read_text()
        queries = re.findall(r"^```sql\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        queries += [query for query in re.findall(r'daycast sql "([^"]+)"', text) if "$(" not in query]
        queries += re.findall(r'^QUERY = """\n(.*?)"""$', text, re.DOTALL | re.MULTILINE)
        found += [(page.stem, query) for query in queries]
    return found


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with Warehouse(tmp_path_factory.mktemp("guide") / "w.duckdb", BUILT_IN.values()).write(NOW) as con:
        yield con


@pytest.mark.parametrize(("page", "query"), shown_queries(), ids=lambda value: " ".join(value.split())[:60])
def test_a_query_that_is_shown_runs(page: str, query: str, con: duckdb.DuckDBPyConnection) -> None:
    if re.search(r"^create ", query, re.MULTILINE):
        con.execute("begin")
        try:
            con.execute(query)
        finally:
            con.execute("rollback")
    else:
        con.sql(query).to_arrow_table()


def test_there_are_queries_to_look_at() -> None:
    assert len(shown_queries()) > 10
