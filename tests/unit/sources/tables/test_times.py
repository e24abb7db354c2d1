"""Times in columns: the years that are read, and wall clocks that skip or repeat an hour."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from daycast.sources.tables.times import WallClock, earlier, validate_timezone, within_calendar
from daycast.times import FIRST_TIME

FAR = 2**62


def utc_of(walls: list[str], zone: str, stations: list[str] | None = None) -> list[str | None]:
    return read(WallClock(zone), walls, stations)


def read(clock: WallClock, walls: list[str], stations: list[str] | None = None) -> list[str | None]:
    wall = pl.Series(walls).str.strptime(pl.Datetime("us"), "%Y-%m-%d %H:%M")
    instants = clock.to_utc(wall, pl.Series(stations or ["a"] * len(walls)))
    assert instants.dtype == pl.Datetime("us", "UTC")
    return instants.dt.strftime("%Y-%m-%d %H:%M").to_list()


def test_winter_and_summer_have_their_own_offset():
    assert utc_of(["2024-01-15 12:00", "2024-07-15 12:00"], "Europe/Berlin") == ["2024-01-15 11:00", "2024-07-15 10:00"]


def test_a_half_hour_zone_keeps_its_half_hour():
    assert utc_of(["2024-01-15 12:00"], "Asia/Kolkata") == ["2024-01-15 06:30"]


def test_an_hour_that_the_clock_skipped_is_no_instant():
    walls = ["2024-03-31 01:30", "2024-03-31 02:30", "2024-03-31 03:00"]
    assert utc_of(walls, "Europe/Berlin") == ["2024-03-31 00:30", None, "2024-03-31 01:00"]


def test_an_hour_that_came_twice_is_told_apart_by_the_order_of_rows():
    walls = ["2024-10-27 02:00", "2024-10-27 02:30", "2024-10-27 02:00", "2024-10-27 02:30", "2024-10-27 03:00"]
    expected = ["2024-10-27 00:00", "2024-10-27 00:30", "2024-10-27 01:00", "2024-10-27 01:30", "2024-10-27 02:00"]
    assert utc_of(walls, "Europe/Berlin") == expected


def test_each_station_has_its_own_order():
    walls = ["2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 02:00"]
    expected = ["2024-10-27 00:00", "2024-10-27 00:00", "2024-10-27 01:00"]
    assert utc_of(walls, "Europe/Berlin", ["a", "b", "a"]) == expected


def test_an_hour_that_came_twice_is_told_apart_across_the_chunks_of_a_source():
    clock = WallClock("Europe/Berlin")
    assert read(clock, ["2024-10-27 02:00", "2024-10-27 02:30"]) == ["2024-10-27 00:00", "2024-10-27 00:30"]
    assert read(clock, ["2024-10-27 02:00", "2024-10-27 03:00"]) == ["2024-10-27 01:00", "2024-10-27 02:00"]
    assert read(clock, ["2024-10-27 02:30"], ["b"]) == ["2024-10-27 00:30"]


def test_a_time_that_stands_twice_on_an_ordinary_day_is_twice_the_same_instant():
    assert utc_of(["2024-01-15 12:00"] * 2, "Europe/Berlin") == ["2024-01-15 11:00"] * 2


def test_an_unknown_zone_is_refused_with_close_ones():
    with pytest.raises(ValueError, match=r"'europe/berln' is not a time zone \(did you mean 'Europe/Berlin'"):
        validate_timezone("europe/berln")
    assert validate_timezone("Asia/Shanghai") == "Asia/Shanghai"


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_time_that_no_calendar_can_write_is_none(unit, zone):
    good = datetime(2024, 7, 1, 12, tzinfo=UTC)
    counts = pl.Series([int(good.timestamp()) * {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit], None])
    times = counts.cast(pl.Datetime(unit, zone))
    if unit != "ns":  # whose range ends in 2262
        times = pl.concat([times, pl.Series([FAR, -FAR]).cast(pl.Datetime(unit, zone))])
    kept = within_calendar(times)
    assert kept.dtype == times.dtype
    assert kept.is_not_null().to_list() == [True, False, False, False][: len(times)]


def test_a_moment_before_the_calendar_is_its_first():
    moment = datetime(2024, 7, 1, tzinfo=UTC)
    assert earlier(moment, timedelta(days=1), timedelta(hours=1)) == moment - timedelta(hours=25)
    assert earlier(moment, timedelta(days=10**6)) == FIRST_TIME
    assert earlier(datetime(1, 1, 1, tzinfo=UTC), timedelta(days=1), timedelta(days=1)) == FIRST_TIME
