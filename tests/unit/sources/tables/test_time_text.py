"""Times written as text: what strptime alone would read wrong, refuse, or take for something else."""

import re
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daycast.sources.tables.time_text import parse_epoch, parse_instant, parse_wall, validate_format
from daycast.sources.tables.times import TimeColumn


def walls(time_format: str | None, *texts: str) -> list[str | None]:
    return parse_wall(pl.Series(texts, dtype=pl.String), time_format).dt.strftime("%Y-%m-%d %H:%M:%S").to_list()


@pytest.mark.parametrize(
    ("time_format", "written", "read"),
    [
        (None, "2024-02-28T24:00", "2024-02-29 00:00:00"),
        (None, "2023-12-31 24:00:00", "2024-01-01 00:00:00"),
        (None, "2023-12-31 24:00:00.000", "2024-01-01 00:00:00"),
        (None, "2023-12-31 24:30", None),
        (None, "2023-12-31 24:00:01", None),
        ("%d.%m.%Y %H:%M", "28.02.2025 24:00", "2025-03-01 00:00:00"),
        ("%d.%m.%Y %H:%M", "28.02.2025 24:01", None),
        ("%d.%m.%Y %H:%M", "31.02.2025 24:00", None),
        ("%m/%d/%Y %T", "12/31/2024 24:00:00", "2025-01-01 00:00:00"),
        ("%Y%m%d %H", "20171003 24", "2017-10-04 00:00:00"),
        ("%Y%m%d %H", "20171231 24", "2018-01-01 00:00:00"),
        ("%Y%m%d %H", "20171003 25", None),
        ("%Y%m%d%H", "2017100324", "2017-10-04 00:00:00"),
        ("%b %d, %Y %H:%M", "Feb 29, 2024 24:00", "2024-03-01 00:00:00"),
        ("%Y %j %H%M", "2024 366 2400", "2025-01-01 00:00:00"),
    ],
)
def test_hour_24_is_midnight_of_the_next_day_and_nothing_else_is(time_format, written, read):
    assert walls(time_format, written, "x") == [read, None]


def test_hour_24_with_an_offset_is_that_instant():
    [read] = parse_instant(pl.Series(["2024-12-31T24:00+01:00"]), None)
    assert read == datetime(2024, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2024-05-01 930", "2024-05-01 09:30:00"),
        ("2024-05-01 115", "2024-05-01 01:15:00"),  # strptime alone reads 11:05
        ("2024-05-01 5", "2024-05-01 00:05:00"),
        ("2024-05-01 0", "2024-05-01 00:00:00"),
        ("2024-05-01 1230", "2024-05-01 12:30:00"),
        ("2024-05-01 60", None),
        ("2024-05-01 975", None),
    ],
)
def test_hours_and_minutes_may_lack_leading_zeros(written, read):
    assert walls("%Y-%m-%d %H%M", written) == [read]


@pytest.mark.parametrize(
    ("time_format", "written", "read"),
    [
        ("%m/%d/%y %I:%M%p", "1/2/25 12:30a", "2025-01-02 00:30:00"),
        ("%m/%d/%y %I:%M%p", "1/2/25 1:00P", "2025-01-02 13:00:00"),
        ("%m/%d/%y %I:%M%p", "1/2/25 12:00PM", "2025-01-02 12:00:00"),
        ("%m/%d/%Y %I:%M %p", "1/2/2025 12:30 a.m.", "2025-01-02 00:30:00"),
        ("%I:%M%p %d.%m.%Y", "11:30p 2.1.2025", "2025-01-02 23:30:00"),
        ("%m/%d/%y %I:%M%p", "1/2/25 1:00x", None),
        ("%m/%d/%y %I:%M%p", "1/2/25 13:00p", None),
    ],
)
def test_half_of_the_day_may_be_one_letter(time_format, written, read):
    assert walls(time_format, written) == [read]


@given(st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)))  # noqa: DTZ001 wall time is meant
def test_any_minute_is_read_back_from_numbers_without_leading_zeros(moment):
    written = f"{moment.year} {moment.timetuple().tm_yday} {moment.hour * 100 + moment.minute}"
    assert walls("%Y %j %H%M", written) == [f"{moment:%Y-%m-%d %H:%M}:00"]


@pytest.mark.parametrize("written", ["20240102115", "2024010230", "202401020"])
def test_digits_that_could_be_cut_in_several_ways_are_no_time(written):
    assert walls("%Y%m%d%H%M", written, "202401020115") == [None, "2024-01-02 01:15:00"]


@pytest.mark.parametrize(("written", "read"), [("2024032", "2024-02-01"), ("202432", "2024-02-01"), ("2024367", None)])
def test_a_day_of_the_year_is_read(written, read):
    assert walls("%Y%j", written) == [read and f"{read} 00:00:00"]


@pytest.mark.parametrize(
    ("epoch", "written", "read"),
    [
        ("ms", "1748772000000", datetime(2025, 6, 1, 10, tzinfo=UTC)),
        ("ms", "1748772000123", datetime(2025, 6, 1, 10, 0, 0, 123_000, tzinfo=UTC)),
        ("s", "1748772000", datetime(2025, 6, 1, 10, tzinfo=UTC)),
        ("s", "1748772000.5", datetime(2025, 6, 1, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("s", "1.748772e9", datetime(2025, 6, 1, 10, tzinfo=UTC)),
        ("s", "-3600", datetime(1969, 12, 31, 23, tzinfo=UTC)),
        ("s", "1748772000000", None),  # milliseconds
        ("ms", "9" * 30, None),
        ("s", "nan", None),
        ("s", "2025-06-01", None),
    ],
)
def test_counts_since_1970_are_instants(epoch, written, read):
    assert parse_epoch(pl.Series([written, None]), epoch).to_list() == [read, None]


def explained(settings: dict, *texts: str | None) -> list[str]:
    return TimeColumn.model_validate(settings).explain(pl.Series(texts, dtype=pl.String)).to_list()


def test_a_time_that_is_none_is_explained():
    assert "set time.daily = true" in explained({"column": "t"}, "2024-01-01")[0]
    assert explained({"column": "t", "daily": True}, "x") == ["no time in the form ISO 8601"]
    assert explained({"column": "t", "epoch": "ms"}, "x", None) == [
        "no time in the form milliseconds since 1970",
        "no time",
    ]
    assert explained({"column": "t", "epoch": "s"}, "9" * 14) == ["no time between the years 1000 and 9000"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "exactly one of column and columns"),
        ({"column": "a", "columns": ["b"]}, "exactly one of column and columns"),
        ({"column": "a", "format": "%d.%m.%Y"}, r"'%d.%m.%Y' has no clock: .*daily = true"),
        ({"column": "a", "format": "%Y %j"}, "has no clock"),
        ({"columns": ["a", "b"], "epoch": "s"}, "epoch counts in one column"),
        ({"column": "a", "epoch": "s", "format": "%s"}, "epoch counts in one column"),
        ({"column": "a", "epoch": "us"}, "epoch"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TimeColumn.model_validate(settings)


def test_settings_that_are_unset_change_no_fingerprint():
    assert TimeColumn.model_validate({"column": "t"}).model_dump(mode="json") == {"column": "t", "format": None}
    joined = TimeColumn.model_validate({"columns": ["d", "c"], "daily": True})
    assert joined.model_dump(mode="json") == {"column": None, "format": None, "columns": ["d", "c"], "daily": True}


def test_columns_are_joined_in_their_order():
    table = pl.DataFrame({"clock": [" 12:30 ", None], "day": ["2024-07-01", "2024-07-01"]})
    time = TimeColumn.model_validate({"columns": ["day", "clock"]})
    text = table.select(time.as_written()).to_series()
    assert text.to_list() == ["2024-07-01 12:30", "2024-07-01"]
    assert time.read_walls(text).to_list() == [datetime(2024, 7, 1, 12, 30), None]  # noqa: DTZ001 wall time is meant


def test_a_day_is_its_midnight_only_on_purpose():
    texts = pl.Series(["2024-07-01", "2024-07-01T06:00"])
    assert parse_wall(texts, None).is_null().to_list() == [True, False]
    midnight = datetime(2024, 7, 1)  # noqa: DTZ001 wall time is meant
    assert parse_wall(texts, None, daily=True).to_list() == [midnight, midnight + timedelta(hours=6)]


@pytest.mark.parametrize(
    ("time_format", "told"),
    [
        ("%m/%d/%Y %H:%M %p", "has %p, AM or PM, but no hour from 1 to 12: write %I in place of %H"),
        ("%d.%m.%y %P %k:%M", "has %p, AM or PM, but no hour from 1 to 12: write %I in place of %H"),
        ("%m/%d/%Y %I:%M", "has %I, the hour from 1 to 12, but no %p for AM or PM: add it, or write %H"),
    ],
)
def test_half_a_day_needs_both_its_hour_and_its_half(time_format, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        validate_format(time_format)
    assert validate_format("%m/%d/%Y %I:%M %p") == "%m/%d/%Y %I:%M %p"
