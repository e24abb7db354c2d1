"""What is printed for people fits their terminal; what is printed for programs is whole."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from daycast.commands.print_frame import print_frame, terminal_width

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
