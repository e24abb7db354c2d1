"""What is printed for people fits their terminal; what is printed for programs is whole."""

import json
import math
from contextlib import redirect_stdout
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import StringIO

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from polars.testing.parametric import dataframes

from daycast.cli.output import print_frame, terminal_width, to_json

FRAME = pl.DataFrame({"valid_at": [datetime(2026, 6, 1, tzinfo=UTC)] * 300, "air_temperature_c": [1.23456789] * 300})


@pytest.mark.parametrize(("columns", "expected"), [("80", 80), ("200", 120), ("3", 20)])
def test_text_is_as_wide_as_the_terminal_within_reason(columns, expected, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == expected


def test_a_table_takes_the_width_and_the_height_of_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "40")
    print_frame(FRAME, "table")
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 1 + 34 + 2
    assert shown[1] == "2026-06-01 00:00                1.2"
    assert shown[-1] == "the first 34 of 300 rows (--format csv gives all), times in UTC"


def test_a_day_of_hours_is_shown_however_low_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("LINES", "10")
    print_frame(FRAME, "table")
    assert "the first 24 of 300 rows" in capsys.readouterr().out


def test_programs_get_every_row_unrounded(capsys):
    print_frame(FRAME, "json")
    rows = json.loads(capsys.readouterr().out)
    assert (len(rows), rows[0]["air_temperature_c"]) == (300, 1.23456789)
    print_frame(FRAME, "csv")
    assert capsys.readouterr().out.splitlines()[300].endswith(",1.23456789")


def test_what_csv_has_no_form_for_is_written_as_text(capsys):
    print_frame(pl.DataFrame({"list": [[1.5, None]], "struct": [{"a": 1}], "bytes": [b"\x0a"]}), "csv")
    assert capsys.readouterr().out == 'list,struct,bytes\n"[1.5, null]","{""a"": 1}",0a\n'


KINDS = [
    *(pl.Float64, pl.Float32, pl.Int64, pl.Int128, pl.UInt8, pl.Boolean, pl.String, pl.Binary, pl.Decimal, pl.Null),
    *(pl.Date, pl.Datetime, pl.Time, pl.Duration, pl.Categorical, pl.Enum, pl.List, pl.Array, pl.Struct),
]


def strict(text: str):
    """JSON as its standard has it, which knows no NaN and no Infinity."""

    def refuse(constant: str):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_is_json_and_nothing_that_only_python_takes_for_it(capsys):
    no_end = pl.Series([2**63 - 1, -(2**63) + 1]).cast(pl.Datetime("us", "UTC"))
    frame = pl.DataFrame(
        {
            "number": [math.nan, 1.5],
            "numbers": [[math.inf, None], []],
            "struct": [{"a": -math.inf, "at": datetime(2026, 6, 1, tzinfo=UTC)}, None],
            "at": [datetime(2026, 6, 1, 3, 0, 0, 250_000, tzinfo=UTC), None],
            "no_end": no_end,
            "ends": no_end.implode().extend_constant(None, 1),
            "day": [date(2026, 6, 1), None],
            "clock": [time(3, 30), None],
            "span": [timedelta(days=1, hours=2), None],
            "bytes": [b"\x0a", None],
            "count": pl.Series([Decimal(3), None], dtype=pl.Decimal(38, 0)),
            "exact": pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(9, 2)),
            "pair": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int32, 2)),
        }
    )
    print_frame(frame, "json")
    assert strict(capsys.readouterr().out) == [
        {
            "number": None,
            "numbers": [None, None],
            "struct": {"a": None, "at": "2026-06-01T00:00:00+00:00"},
            "at": "2026-06-01T03:00:00.250+00:00",
            "no_end": "infinity",
            "ends": ["infinity", "-infinity"],
            "day": "2026-06-01",
            "clock": "03:30:00",
            "span": "P1DT2H",
            "bytes": "0a",
            "count": 3,
            "exact": 1.5,
            "pair": [1, 2],
        },
        dict.fromkeys(frame.columns) | {"number": 1.5, "numbers": [], "no_end": "-infinity"},
    ]


def test_what_is_no_frame_is_json_too():
    told = {"loss": math.nan, "at": datetime(2026, 6, 1, tzinfo=UTC), "rows": [{"n": Decimal(2), 3: [math.inf]}]}
    assert strict(to_json(told)) == {"loss": None, "at": "2026-06-01T00:00:00+00:00", "rows": [{"n": 2, "3": [None]}]}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(frame=dataframes(max_cols=5, max_size=5, allowed_dtypes=KINDS))
def test_any_frame_has_a_form_for_programs(frame):
    for form in ("json", "csv"):
        with redirect_stdout(StringIO()) as out:
            print_frame(frame, form)
        if form == "json":
            assert [list(row) for row in strict(out.getvalue())] == [frame.columns] * frame.height
