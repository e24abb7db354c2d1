"""A frame as a table for people, at the widths that terminals have."""

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes
from rich.cells import cell_len

from daycast.report.table import render_frame

T0 = datetime(2026, 6, 1, 3, tzinfo=UTC)
WIDTHS = pytest.mark.parametrize("width", [80, 120])


def lines(frame: pl.DataFrame, width: int = 80, rows: int = 200, **options: str) -> list[str]:
    return render_frame(frame, width, rows, **options).split("\n")


def cells(frame: pl.DataFrame) -> list[list[str]]:
    """The rows of a frame that fits, without heading and notes."""
    return [line.split() for line in lines(frame)[1 : frame.height + 1]]


def forecasts(variables: tuple[str, ...] = ("air_temperature_c",), hours: int = 3) -> pl.DataFrame:
    """As `latest_forecasts` has them: 18 columns, most of which say the same in every row."""
    quantiles = ["value", "q05", "q10", "q25", "q50", "q75", "q90", "q95"]
    rows = [
        {
            "station_id": "S0001",
            "variable": variable,
            "issued_at": T0,
            "valid_at": T0 + lead * timedelta(hours=1),
            "lead_hours": lead,
            **{name: lead + i / 7 for i, name in enumerate(quantiles)},
            "model_id": "lstm-20260525-0123abcd",
            "input_regime": "full",
            "created_at": T0,
            "forecaster": "lstm",
            "backfilled": False,
        }
        for variable in variables
        for lead in range(1, hours + 1)
    ]
    return pl.DataFrame(rows)


def observations() -> pl.DataFrame:
    """A wide table: ten variables, whose values differ, with a flag and a check each."""
    names = [f"own_variable_{i}_pct" for i in range(10)]
    columns = {
        column: content
        for i, name in enumerate(names)
        for column, content in [
            (name, [i + 0.5, i + 1.5]),
            (f"{name}_flag", [1, 3]),
            (f"{name}_check", [None, "spike"]),
        ]
    }
    return pl.DataFrame({"station_id": ["a", "b"], "observed_at": [T0, T0], **columns})


@WIDTHS
def test_the_latest_forecasts_are_a_table_whose_every_column_is_shown_or_told_below(width: int) -> None:
    shown = lines(forecasts(), width)
    assert shown[0].split() == ["valid_at", "lead_hours", "value", "q05", "q10", "q25", "q50", "q75", "q90", "q95"]
    assert shown[1].split() == ["2026-06-01", "04:00", "1", "1.0", "1.1", "1.3", "1.4", "1.6", "1.7", "1.9", "2.0"]
    assert shown[4] == ""
    told = " ".join(shown[5:])
    assert "in every row above: station_id S0001, variable air_temperature_c, issued_at 2026-06-01 03:00" in told
    assert "model_id lstm-20260525-0123abcd" in told
    assert "backfilled false" in told
    assert told.endswith("3 rows, times in UTC")


@WIDTHS
def test_columns_that_do_not_fit_are_dropped_from_the_right_and_named(width: int) -> None:
    shown = lines(observations(), width)
    heading, notes = shown[0].split(), " ".join(shown[4:])
    assert heading == list(observations().drop("observed_at").columns[: len(heading)])
    assert (
        f"too wide to show (name fewer columns, or --format csv): {observations().columns[len(heading) + 1]}" in notes
    )
    assert re.search(r"and \d+ more", notes)  # than the note can name
    assert all(len(line) <= width for line in shown)


def test_what_shows_the_rest_is_said_by_who_prints_it() -> None:
    assert "or --format json" in " ".join(lines(observations(), complete="--format json"))


def test_no_cell_is_broken_over_lines() -> None:
    shown = lines(observations(), 80)
    assert [line.split()[0] for line in shown[:3]] == ["station_id", "a", "b"]
    assert shown[3] == ""


def test_a_frame_that_fits_is_shown_as_it_is() -> None:
    frame = pl.DataFrame({"station_id": ["a", "a"], "n": [1, 1]})
    assert lines(frame) == ["station_id  n", "a           1", "a           1", "", "2 rows"]


def test_a_single_row_that_does_not_fit_stands_as_lines_of_name_and_value() -> None:
    reason = "lstm is better than every baseline and the champion before it " * 2
    frame = pl.DataFrame({"model_id": ["m"], "reason": [reason.strip()], "mae": [1.2345]})
    assert lines(frame, 60) == [
        "model_id  m",
        "reason    lstm is better than every baseline and the",
        "          champion before it lstm is better than every",
        "          baseline and the champion before it",
        "mae       1.23",
        "",
        "1 row",
    ]


def test_a_value_of_many_lines_is_cut() -> None:
    shown = lines(pl.DataFrame({"decision": ["word " * 1000], "n": [1]}), 40)
    assert [line.endswith("…") for line in shown[:4]] == [False, False, False, True]
    assert shown[4] == "n         1"


@WIDTHS
def test_a_text_wider_than_the_screen_is_cut(width: int) -> None:
    shown = lines(pl.DataFrame({"reason": ["x" * 500, "y" * 500]}), width)
    assert shown[1] == "x" * (width - 1) + "…"


def test_long_texts_give_way_before_columns_are_dropped() -> None:
    frame = pl.DataFrame({"reason": ["x" * 500, "y" * 500], "n": [1, 2]})
    shown = lines(frame, 80)
    assert shown[0].split() == ["reason", "n"]
    assert shown[1] == "x" * 76 + "…  1"


def test_more_rows_than_a_screen_has_are_counted() -> None:
    shown = lines(pl.DataFrame({"n": range(2880)}), rows=40)
    assert len(shown) == 43
    assert shown[-1] == "the first 40 of 2,880 rows (--format csv gives all)"


def test_an_empty_frame_shows_its_columns() -> None:
    assert lines(forecasts().clear().select("station_id", "value")) == ["station_id  value", "", "no rows"]
    assert lines(forecasts().clear())[0].startswith("station_id  variable  issued_at")
    assert lines(pl.DataFrame()) == ["done: there is nothing to show"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("air_temperature_c", "1234.6"),
        ("sea_level_pressure_hpa", "1234.6"),
        ("wind_speed_m_s", "1234.6"),
        ("relative_humidity_pct", "1234.6"),
        ("precipitation_mm", "1234.6"),
        ("wind_from_deg", "1235"),
        ("elevation_m", "1235"),
        ("latitude", "1234.5678"),
        ("n", "1234.6"),
    ],
)
def test_a_number_is_rounded_by_the_unit_its_name_ends_in(name: str, expected: str) -> None:
    assert cells(pl.DataFrame({name: [1234.5678]})) == [[expected]]


def test_a_long_table_is_rounded_by_the_unit_of_its_variable() -> None:
    frame = pl.DataFrame(
        {
            "variable": ["wind_from_deg", "precipitation_mm", "own_ug_m3"],
            "value": [12.345, 0.04, 0.1234],
            "q05": [1.0, 0.0, 0.0123],
            "mae": [12.345, 0.1234, 0.001234],
        }
    )
    assert [row[1:] for row in cells(frame)] == [
        ["12", "1", "12.3"],
        ["0.0", "0.0", "0.123"],
        ["0.123", "0.0123", "0.00123"],
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.28, -0.0312], ["0.280", "-0.031"]),  # as many decimals as leave the largest its three digits
        ([9.0, 12.0], ["9", "12"]),  # whole ones have none
        ([1013.246, 2.0], ["1013.2", "2.0"]),
        ([0.0, -0.0], ["0", "0"]),
        ([1e-7, 0.0], ["1e-07", "0"]),
        ([1e300, 1.0], ["1e+300", "1"]),
        ([math.nan, math.inf, -math.inf, 0.5, None], ["nan", "inf", "-inf", "0.500", "–"]),
    ],
)
def test_without_a_unit_three_significant_digits_are_kept(values: list[float | None], expected: list[str]) -> None:
    assert cells(pl.DataFrame({"skill": values})) == [[one] for one in expected]


def test_what_rounds_to_nothing_has_no_sign() -> None:
    assert cells(pl.DataFrame({"dew_point_c": [-0.04, -0.06]})) == [["0.0"], ["-0.1"]]


def test_numbers_stand_on_the_right_and_texts_on_the_left() -> None:
    frame = pl.DataFrame({"id": ["a", "bcd"], "count": [5, 1234]})
    assert lines(frame)[:3] == ["id   count", "a        5", "bcd   1234"]


def test_times_are_short_and_in_utc() -> None:
    berlin = datetime(2026, 6, 1, 5, tzinfo=ZoneInfo("Europe/Berlin"))
    shown = lines(pl.DataFrame({"valid_at": [berlin, None]}))
    assert shown == ["valid_at", "2026-06-01 03:00", "–", "", "2 rows, times in UTC"]


def test_times_without_a_zone_are_left_alone_and_seconds_shown_where_there_are_any() -> None:
    shown = lines(pl.DataFrame({"at": [datetime(2026, 6, 1, 5, 0, 7), datetime(2026, 6, 1)]}))  # noqa: DTZ001
    assert shown == ["at", "2026-06-01 05:00:07", "2026-06-01 00:00:00", "", "2 rows"]


def test_times_beyond_the_calendar_are_told_as_such() -> None:
    far = pl.Series("until", [2**62, -(2**62)], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    assert lines(far.to_frame())[1:3] == ["after 9999", "before 0001"]


def test_every_kind_of_value_has_a_form() -> None:
    frame = pl.DataFrame(
        {
            "day": [date(2026, 6, 1)],
            "clock": [time(3, 30)],
            "span": [timedelta(hours=90, minutes=5)],
            "list": [[1.25, None]],
            "struct": [{"a": 1, "b": "x"}],
            "bytes": [b"\x00\xff"],
            "decimal": [Decimal("1.50")],
            "yes": [True],
            "kind": pl.Series(["x"], dtype=pl.Categorical),
            "nothing": [None],
        }
    )
    expected = "2026-06-01  03:30:00  3d 18h 5m  [1.25, –]  {a: 1, b: x}  0x00ff  1.50  true  x  –"
    assert " ".join(lines(frame, 200)[1].split()) == " ".join(expected.split())


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\nb", "a\tb", "\x9b2J", "\u202etxt", "\x07", "a\u200bb"])
def test_nothing_in_a_cell_or_a_heading_reaches_the_terminal_but_what_can_be_seen(text: str) -> None:
    for frame in (pl.DataFrame({text: [text]}), pl.DataFrame({text: [text] * 2, "wide": ["x" * 90, "y" * 90]})):
        shown = lines(frame)
        assert all(line.isprintable() for line in shown)
        assert text.encode("unicode_escape").decode() in "\n".join(shown)


def test_wide_characters_take_two_cells() -> None:
    shown = lines(pl.DataFrame({"name": ["東京", "Ulm"], "n": [1, 2]}))
    assert shown[1:3] == ["東京  1", "Ulm   2"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(dataframes(max_cols=6, max_size=5), st.integers(20, 200), st.integers(0, 6))
def test_no_line_of_any_frame_is_longer_than_the_terminal_is_wide(frame: pl.DataFrame, width: int, rows: int) -> None:
    for line in lines(frame, width, rows):
        assert cell_len(line) <= width
        assert line.isprintable()


@given(st.lists(st.lists(st.one_of(st.none(), st.text()), min_size=3, max_size=3), max_size=4), st.integers(20, 130))
def test_no_line_of_any_text_is_longer_than_the_terminal_is_wide(rows: list[list[str | None]], width: int) -> None:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(["a", "long_name_" * 4, "c"], pl.String), orient="row")
    for line in lines(frame, width):
        assert cell_len(line) <= width
        assert line.isprintable()
