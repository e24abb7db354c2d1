"""Times in columns: the years that are read, and wall clocks that skip or repeat an hour."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from daycast.sources.tables.time_text import within_calendar
from daycast.sources.tables.times import doubt_stamps, earlier
from daycast.sources.tables.wall_clock import WallClock, validate_timezone
from daycast.times import FIRST_TIME

FAR = 2**62


def utc_of(walls: list[str], zone: str, stations: list[str] | None = None) -> list[str | None]:
    return read(WallClock(zone), walls, stations)


def read(clock: WallClock, walls: list[str], stations: list[str] | None = None) -> list[str | None]:
    wall = pl.Series(walls).str.strptime(pl.Datetime("us"), "%Y-%m-%d %H:%M")
    instants, _ = clock.to_utc(wall, pl.Series(stations or ["a"] * len(walls)))
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
    walls = [f"2024-10-27 0{hour}:00" for hour in (1, 1, 2, 2, 2, 3)]
    expected = [f"2024-10-{day}" for day in ("26 23:00", "26 23:00", "27 00:00", "27 00:00", "27 01:00", "27 02:00")]
    assert utc_of(walls, "Europe/Berlin", ["a", "b", "a", "b", "a", "a"]) == expected


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


# wall clocks


def walls_of(*texts: str, day: str = "2025-10-26") -> pl.Series:
    return pl.Series([text if " " in text else f"{day} {text}" for text in texts]).str.to_datetime(
        "%Y-%m-%d %H:%M", time_unit="us"
    )


def told(*texts: str, zone: str = "Europe/Berlin", latest: datetime | None = None) -> list[str | None]:
    """The clock in UTC of each wall time of the night; None where nothing tells."""
    at, later = WallClock(zone).to_utc(walls_of(*texts), pl.Series(["a"] * len(texts)), latest)
    return [None if other else f"{instant:%H:%M}" for instant, other in zip(at, later, strict=True)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["01:30", "02:00", "02:30"], ["23:30", "00:00", "00:30"]),  # a file that ends in the first pass
        (["02:00", "02:30", "03:00"], ["01:00", "01:30", "02:00"]),  # one that begins with the second
        (
            ["03:00", "02:30", "02:00", "02:30", "02:00", "01:30"],
            ["02:00", "01:30", "01:00", "00:30", "00:00", "23:30"],
        ),
        (["03:00", "02:00"], ["02:00", "01:00"]),  # newest on top
        (["02:30", "02:00", "01:30"], ["00:30", "00:00", "23:30"]),
        (["01:50", "02:50", "02:10", "03:10"], ["23:50", "00:50", "01:10", "02:10"]),  # no time stands twice
        (["02:00", "02:30", "02:00", "02:30"], ["00:00", "00:30", "01:00", "01:30"]),  # its own rows tell
        (
            ["00:00", "01:00", "02:00", "03:00", "04:00"],
            ["22:00", "23:00", None, "02:00", "03:00"],
        ),  # which one is lost?
        (["00:40", "02:10", "02:40", "03:40"], ["22:40", None, None, "02:40"]),  # here too
        (["02:00", "02:30"], [None, None]),
        (["02:00", "02:00"], [None, None]),
        (["01:00", "02:00", "02:00", "02:30", "02:30", "03:00"], ["23:00", None, None, None, None, "02:00"]),  # sorted
        (["2025-10-20 12:00", "02:00"], ["10:00", None]),
    ],
)
def test_the_rows_around_tell_which_of_two_hours_is_meant(rows, expected):
    assert told(*rows) == expected


@pytest.mark.parametrize(
    "rows",
    [
        ["00:00", "02:00", "01:00", "03:00", "04:00"],
        ["00:00", "01:00", "02:30", "02:00", "03:00", "02:00", "02:30", "04:00"],
        ["03:00", "02:00", "01:00", "02:00", "00:00"],
        ["01:00", "03:00", "02:00", "02:00", "04:00"],
        ["01:00", "02:00", "02:30", "01:30", "03:00", "03:30", "02:00", "02:30", "04:00"],
        ["01:30", "02:00", "02:00", "02:30", "02:30", "03:00"],  # sorted by the clock
    ],
)
def test_rows_out_of_order_do_not_tell_and_the_warning_says_so(rows):
    assert [clock for clock, row in zip(told(*rows), rows, strict=True) if row.startswith("02")] == [None] * sum(
        row.startswith("02") for row in rows
    )
    [doubt] = doubts("Europe/Berlin", *rows)
    assert doubt.startswith("station a has rows out of order around 2025-10-26 02:")
    assert "standard time" not in doubt


@pytest.mark.parametrize("rows", [["04:00", "03:00", "02:00", "01:00"], ["03:30", "03:00", "02:30", "02:00", "01:30"]])
def test_a_file_with_the_newest_row_on_top_that_lacks_one_of_two_hours_does_not_tell_which(rows):
    assert [clock for clock in told(*rows) if clock is None] == [None] * sum(row.startswith("02") for row in rows)
    [doubt] = doubts("Europe/Berlin", *rows)
    assert '"+02:00" if summer time all year; else one of the two is missing, and nothing tells which' in doubt
    [forward] = doubts("Europe/Berlin", *reversed(rows))
    assert forward.partition(" only once")[2] == doubt.partition(" only once")[2]


def test_a_second_export_of_a_night_behind_the_first_is_no_disorder():
    night = ["00:00", "01:00", "02:00", "02:00", "03:00", "04:00"]
    assert told(*night, *night) == ["22:00", "23:00", "00:00", "01:00", "02:00", "03:00"] * 2
    assert told(*reversed(night), "2025-10-27 12:00")[2:4] == ["01:00", "00:00"]


def test_a_row_is_not_later_than_it_can_be():
    assert told("02:00", "02:30", latest=datetime(2025, 10, 26, 0, 45, tzinfo=UTC)) == ["00:00", "00:30"]


@pytest.mark.parametrize(
    ("zone", "canonical"),
    [("+02:00", "+02:00"), ("UTC+2", "+02:00"), ("GMT+02:00", "+02:00"), ("-0330", "-03:30"), ("UTC-05:00", "-05:00")],
)
def test_an_offset_is_a_time_zone_that_keeps_it_all_year(zone, canonical):
    assert validate_timezone(zone) == canonical
    hours = {"+02:00": "10:00", "-03:30": "15:30", "-05:00": "17:00"}[canonical]
    walls = ["2024-01-15 12:00", "2024-07-15 12:00", "2024-03-31 12:00"]
    assert utc_of(walls, canonical) == [f"2024-{day} {hours}" for day in ("01-15", "07-15", "03-31")]


@pytest.mark.parametrize("zone", ["+25:00", "UTC+2:75", "+", "02:00", "Mars/Olympus"])
def test_what_is_no_offset_and_no_zone_is_refused(zone):
    with pytest.raises(ValueError, match=r"is not a time zone.*Europe/Berlin, or an offset from UTC"):
        validate_timezone(zone)


def doubts(zone: str, *walls: str, stations: list[str] | None = None) -> tuple[str, ...]:
    clock = WallClock(zone)
    clock.to_utc(walls_of(*walls), pl.Series(stations or ["a"] * len(walls)))
    return clock.take_doubts()


@pytest.mark.parametrize(
    ("zone", "spring", "autumn", "settings"),
    [
        ("Europe/Berlin", "2025-03-30 {}", "2025-10-26 {}", ('"+01:00" if standard', '"+02:00" if summer')),
        ("America/New_York", "2025-03-09 {}", "2025-11-02 {}", ('"-05:00" if standard', '"-04:00" if summer')),
        ("Australia/Adelaide", "2025-10-05 {}", "2025-04-06 {}", ('"+09:30" if standard', '"+10:30" if summer')),
    ],
)
def test_the_hours_that_clocks_change_prove_another_clock_and_nothing_proves_which(zone, spring, autumn, settings):
    clocks = [f"0{hour}:{minute}" for hour in range(5) for minute in ("00", "30")]
    skipped, twice = [spring.format(clock) for clock in clocks], [autumn.format(clock) for clock in clocks]
    [proof] = doubts(zone, *skipped)
    assert f"goes on through {spring.format('02:00')}" in proof
    assert f'so the logger\'s clock is not that of {zone}: if it keeps UTC, set timezone = "UTC";' in proof
    [hint] = doubts(zone, *twice)
    assert "else one of the two is missing" in hint
    for doubt in (proof, hint, *doubts(zone, *reversed(skipped)), *doubts(zone, *sorted([*skipped, *twice]))):
        assert 'if it keeps UTC, set timezone = "UTC"' in doubt
        assert all(f"{setting} time all year" in doubt for setting in settings)


def test_where_standard_time_is_utc_it_is_named_once():
    [doubt] = doubts("Europe/London", *[f"2025-03-30 0{hour}:00" for hour in range(5)])
    assert doubt.endswith('if it keeps UTC, set timezone = "UTC"; "+01:00" if summer time all year')


def test_a_logger_that_follows_the_clock_or_a_single_odd_row_is_no_doubt():
    assert doubts("Europe/Berlin", *(f"2025-03-30 0{hour}:00" for hour in (0, 1, 3, 4))) == ()
    assert doubts("Europe/Berlin", *(f"2025-10-26 0{hour}:00" for hour in (0, 1, 2, 2, 3, 4))) == ()
    assert doubts("Europe/Berlin", "2025-03-29 12:00", "2025-03-29 13:00", "2025-03-30 02:00", "2025-03-31 12:00") == ()
    assert doubts("+01:00", *(f"2025-03-30 0{hour}:00" for hour in range(5))) == ()


def test_every_station_that_is_proved_is_counted():
    walls = [f"2025-03-30 0{hour}:00" for hour in range(5) for _ in "ab"]
    [doubt] = doubts("Europe/Berlin", *walls, stations=["a", "b"] * 5)
    assert doubt.startswith("station a and 1 more goes on through")


def test_all_rows_in_the_future_or_just_after_1970_are_a_doubt():
    now = datetime(2025, 6, 2, tzinfo=UTC)
    ahead, past = datetime(2026, 1, 1, tzinfo=UTC), datetime(1970, 1, 21, 5, tzinfo=UTC)
    [later] = doubt_stamps(pl.Series(["1.1.26"]), pl.Series([ahead]), now, None)
    assert later.startswith(
        "all 1 rows are stamped later than now: 1.1.26 was taken for 2026-01-01T00:00Z: see whether"
    )
    [early] = doubt_stamps(pl.Series(["1748772000"] * 2), pl.Series([past] * 2), now, "ms")
    assert early.startswith("all 2 rows are stamped just after 1970: 1748772000 was taken for 1970-01-21T05:00Z")
    assert doubt_stamps(pl.Series(["a", "b"]), pl.Series([ahead, now]), now, None) == []
    assert doubt_stamps(pl.Series(["a"]), pl.Series([None], dtype=pl.Datetime("us", "UTC")), now, None) == []
    [beyond] = doubt_stamps(pl.Series([1748772000000]), pl.Series([None], dtype=pl.Datetime("us", "UTC")), now, "s")
    assert "1748772000000 was taken for the year 57386" in beyond
