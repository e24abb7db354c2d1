"""Every query of the project can be planned against the migrated schema, and something calls it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

import daycast
from daycast.variables import BUILT_IN
from daycast.warehouse.statements import sql_folder, statement, statements
from daycast.warehouse.warehouse import Warehouse

NOW = datetime(2026, 2, 1, tzinfo=UTC)
QUERIES = sorted(statements())
FRAMES = {  # the frames that callers register, as the tables whose columns they have
    "news": "from readings",
    "issues": "from external_forecasts",
    "ranges": "from stale_hours",
    "later": "select station_id, since as boundary from stale_hours",
    "nearest": "from neighbours",
    "months": "select station_id, month from month_statistics",
    "statistics": "from month_statistics",
    "numbers": "select station_id, observed_at, received_at, number from counters",
    "refusals": "from rejected_readings",
    "hours": "select station_id, observed_at from observation_versions",
    "versions": "from observation_versions",
    "listed": "from stations",
    "unlisted": "from stations",
    "served": "from forecasts",
    "judged": "from holdout_scores",
    "calibrated": "from calibrations",
    "chosen": "from fallbacks",
    "touched": "from stale_hours",
    "written": "select touch_id::varchar as touch_id from unpublished",
    "candidates": "from forecasts",
    "drifted": "from drifts",
    "days": "select station_id, valid_on as day from scores",
    "changed": "select station_id, valid_on as day from scores",
    "delivered": "select station_id from stations",
    "serving": "select station_id from stations",
    "gone": "from readings",
}
TYPES = [  # the first pattern a parameter's name matches says its type
    (r"rows_\w+|most|limit|count|stations|hours|days|batches", 3),
    (r"complete|is_\w+", True),
    (r"since|until|as_of|at|now|earliest|latest|\w+_(at|until|from)", NOW),
    (r"\w+_s", 5.0),
    (r"\w+", "text"),
]


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with Warehouse(tmp_path_factory.mktemp("queries") / "w.duckdb", BUILT_IN.values()).write(NOW) as con:
        for name, like in FRAMES.items():
            con.register(name, con.sql(f"{like} limit 0").pl())
        yield con


def text_of(name: str) -> str:
    """The statement, about one variable or table where it is written for any."""
    of_one = {
        "{sums}": "count(dew_point_c) as n0",
        "{table}": "readings",
        "{of_stations}": "semi join chosen using (station_id)",
        "{instant}": "observed_at",
        "{first}": "min(case when dew_point_c is not null then observed_at end) as dew_point_c",
        "{reported}": "bool_or(dew_point_c is not null) as dew_point_c",
    }
    text = statement(name)
    for place, own in of_one.items():
        text = text.replace(place, own)
    return text


def value_of(parameter: str) -> object:
    return next(value for pattern, value in TYPES if re.fullmatch(pattern, parameter))


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_can_be_planned_against_the_migrated_schema(name: str, con: duckdb.DuckDBPyConnection) -> None:
    text = text_of(name)
    parameters = {parameter: value_of(parameter) for parameter in re.findall(r"\$(\w+)", text)}
    assert con.execute(f"explain {text}", parameters or None).fetchall()


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_one_statement(name: str, con: duckdb.DuckDBPyConnection) -> None:
    assert len(con.extract_statements(text_of(name))) == 1


def test_every_query_has_a_caller_and_every_caller_a_query() -> None:
    sources = [path.read_text() for path in Path(daycast.__file__).parent.rglob("*.py")]
    named = {
        name
        for text in sources
        for name in re.findall(r'"((?:select|insert|delete|update|create|promote|retire)_\w+)"', text)
    }
    assert named == set(QUERIES)


def test_a_name_is_given_to_one_query_only() -> None:
    files = (sql_folder() / "queries").glob("*.sql")
    assert sum(path.read_text().count("\n-- name: ") for path in files) == len(QUERIES)


def test_no_two_statements_have_one_name():
    texts = [path.read_text(encoding="utf-8") for path in sorted((sql_folder() / "queries").glob("*.sql"))]
    names = [name for text in texts for name in re.findall(r"^-- name: (\w+)", text, re.MULTILINE)]
    assert len(names) == len(statements()), sorted({name for name in names if names.count(name) > 1})
