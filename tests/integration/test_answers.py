"""Whatever a query answers is printed in every format: as JSON that any program reads, as CSV, and as a table."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daycast.cli.output import print_frame
from daycast.variables import BUILT_IN
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.publish.query import query_published
from daycast.warehouse.warehouse import Warehouse

ANSWERS = [
    ("'nan'::double", None),
    ("['inf'::double, 1]", [None, 1]),
    ("{'a': {'b': 'nan'::double}}", {"a": {"b": None}}),
    ("map {'a': '-inf'::double}", {"a": None}),
    ("timestamptz '2026-06-01 00:00:00+00'", "2026-06-01T00:00:00+00:00"),
    ("timestamp_ns '2026-06-01 00:00:00.000000001'", "2026-06-01T00:00:00.000000001"),
    ("'infinity'::timestamptz", "infinity"),
    ("'-infinity'::date", "-infinity"),
    ("['infinity'::timestamp]", ["infinity"]),
    ("date '12000-01-01'", "+12000-01-01"),
    ("[date '0044-03-15 (BC)']", ["-0043-03-15"]),
    ("interval 90 minutes", "01:30:00"),
    ("[interval 1 day]", "[1 day]"),
    ("sum(3)", 3),
    ("1.50::decimal(9, 2)", 1.5),
    ("'\\x0A'::blob", "0a"),
    ("union_value(a := 1)", "1"),
    ("'101'::bit", "101"),
    ("time '24:00:00'", None),  # no clock shows it
]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("answers") / "published.duckdb"
    now = datetime(2026, 6, 1, tzinfo=UTC)
    with Warehouse(path.with_name("warehouse.duckdb"), BUILT_IN.values()).write(now) as con:
        publish(con, path)
    return path


@pytest.mark.parametrize(("value", "expected"), ANSWERS, ids=[value for value, _ in ANSWERS])
def test_any_answer_has_a_form(published, capfd, value, expected):
    frame = query_published(published, f"select {value} as x")
    print_frame(frame, "json")
    assert json.loads(capfd.readouterr().out, parse_constant=pytest.fail) == [{"x": expected}]
    for form in ("csv", "table"):
        print_frame(frame, form)
        shown = capfd.readouterr()
        assert shown.out.split()[0] == "x"
        assert shown.err == ""  # where polars panics it says so by itself
