"""Times are read as UTC, durations as what they say."""

from datetime import UTC, datetime, timedelta

import pytest

from daycast.errors import ConfigError
from daycast.times import floor_hour, hours_between, parse_daily_hours, parse_duration, parse_time


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


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("22:00-07:00", ["22:00", "23:59", "00:00", "06:59"], ["21:59", "07:00", "12:00"]),
        ("12:30-13:00", ["12:30", "12:59"], ["12:29", "13:00", "00:00"]),
        ("22:00-07:00 Europe/Berlin", ["20:00", "04:59"], ["19:59", "05:00"]),  # in July two hours ahead of UTC
        ("00:00-06:00  Asia/Kathmandu", ["18:15", "00:14"], ["18:14", "00:15"]),
    ],
)
def test_hours_of_the_day_may_go_over_midnight_and_are_those_of_a_time_zone(text, inside, outside):
    hours = parse_daily_hours(text)
    included = {time: hours.include(parse_time(f"2026-07-01T{time}Z")) for time in (*inside, *outside)}
    assert included == {**dict.fromkeys(inside, True), **dict.fromkeys(outside, False)}


def test_hours_of_the_day_move_with_the_clocks():
    hours = parse_daily_hours("22:00-07:00 Europe/Berlin")
    assert not hours.include(datetime(2026, 1, 15, 20, 30, tzinfo=UTC))
    assert hours.include(datetime(2026, 7, 15, 20, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("at night", "are no hours of the day"),
        ("22-7", "are no hours of the day"),
        ("24:00-07:00", "are no hours of the day"),
        ("07:00-07:00", "begins when it ends"),
        ("22:00-07:00 Europe/Berln", "names no time zone"),
        ("22:00-07:00 ../etc/passwd", "names no time zone"),
    ],
)
def test_what_are_no_hours_of_the_day_is_refused_by_name(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_daily_hours(text)
