"""Whatever a query answers is printed in every format: as JSON that any program reads, as CSV, and as a table."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daycast.cli.output import print_frame
from daycast.errors import WarehouseError
from daycast.variables import BUILT_IN
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.publish.query import query_each, query_published
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
    ("[interval 1 day]", ["1 day"]),
    ("{'INTERVAL': [interval 1 month], 'n': 1}", {"INTERVAL": ["1 month"], "n": 1}),
    ("map {'a': '101'::bit}", {"a": "101"}),
    ("[union_value(a := interval 1 day)]", "[1 day]"),
    ("timestamptz '290000-01-01 00:00:00+00'", "+290000-01-01T00:00:00+00:00"),
    ("timestamp '290308-12-21 19:59:05.25'", "+290308-12-21T19:59:05.250"),
    ("[timestamptz '280004-02-29 23:30:00+00']", ["+280004-02-29T23:30:00+00:00"]),
    ("timestamp '280000-06-01 (BC) 06:00:00'", "-279999-06-01T06:00:00"),
    ("date '5881580-07-09'", "+5881580-07-09"),
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


@pytest.mark.parametrize("value", [value for value, _ in ANSWERS if value.startswith(("time", "date"))])
def test_a_time_is_the_same_in_csv_and_json(published, capsys, value):
    frame = query_published(published, f"select {value} as x, 1 as n")
    print_frame(frame, "json")
    (row,) = json.loads(capsys.readouterr().out)
    print_frame(frame, "csv")
    assert capsys.readouterr().out == f"x,n\n{row['x'] or ''},1\n"


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


def test_each_of_several_statements_has_its_result(published):
    text = """
    set TimeZone = 'Asia/Tokyo'; select 1 as n; -- a comment; no statement
    select ';' as text;
    pivot (select 1 as n, 'a' as k) on k using sum(n);
    """
    assert [frame.to_dicts() for frame in query_each(published, text)] == [[{"n": 1}], [{"text": ";"}], [{"a": 1}]]
    assert [frame.columns for frame in query_each(published, "set threads = 1")] == [[]]


def test_results_before_a_statement_that_fails_are_given_and_the_error_names_it(published):
    frames = query_each(published, "select 1 as n; select nme from stations; select 3")
    assert next(frames).item() == 1
    with pytest.raises(WarehouseError, match=r'the query failed in statement 2 of 3: .*"nme" not found'):
        next(frames)


@pytest.mark.parametrize("text", ["", "  \n", "-- only a comment", ";;"])
def test_nothing_to_ask_is_an_error(published, text):
    with pytest.raises(WarehouseError, match="the query failed: it is empty"):
        query_published(published, text)


def test_no_statement_runs_if_a_later_one_writes(published):
    with pytest.raises(WarehouseError, match="a statement insert, and only reading is allowed"):
        next(query_each(published, "select 1; insert into stations (station_id) values ('x')"))
