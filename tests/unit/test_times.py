"""Times are read as UTC, durations as what they say."""

from datetime import UTC, datetime, timedelta

import pytest

from daycast.errors import ConfigError
from daycast.times import floor_hour, hours_between, parse_duration, parse_time


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-02-01", 0), ("2026-02-01T05:00", 5), ("2026-02-01T05:00:00Z", 5), ("2026-02-01T05:00+08:00", -3)],
)
def test_a_time_is_utc_unless_it_carries_an_offset(text, hour):
    assert parse_time(text) == datetime(2026, 2, 1, tzinfo=UTC) + timedelta(hours=hour)
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "01.02.2026"])
def test_what_is_no_time_is_refused_by_name(text):
    with pytest.raises(ConfigError, match="is no time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15min", 900), ("24h", 86400), ("7d", 604800), ("2w", 1209600), ("1 h", 3600)]
)
def test_a_duration_is_a_number_and_a_unit(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["24", "h", "-1h", "1.5h", "1m", ""])
def test_what_is_no_duration_is_refused_by_name(text):
    with pytest.raises(ConfigError, match="is no duration"):
        parse_duration(text)


def test_hours_are_counted_down_to_the_full_one():
    half_past = datetime(2026, 2, 1, 5, 30, tzinfo=UTC)
    assert floor_hour(half_past) == datetime(2026, 2, 1, 5, tzinfo=UTC)
    assert hours_between(datetime(2026, 2, 1, tzinfo=UTC), half_past) == 5
    assert hours_between(half_past, datetime(2026, 2, 1, tzinfo=UTC)) == -6


@pytest.mark.parametrize("text", ["99999999999w", "9" * 5000 + "s"])
def test_a_duration_beyond_all_time_is_refused_in_one_line(text):
    with pytest.raises(ConfigError, match="is too long for a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0999-12-31"])
def test_what_lies_beyond_the_calendar_is_no_time(text):
    with pytest.raises(ConfigError, match="is no time between the years 1000 and 9000"):
        parse_time(text)
