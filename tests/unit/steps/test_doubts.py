"""Doubts: each check points at what it is about, with an example, and is silent otherwise."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from daycast.features.amounts import Accumulation, CalendarReset
from daycast.sources.batch import SourceBatch, no_problems
from daycast.steps.counter_doubts import find_slow_counters
from daycast.steps.doubts import Doubts, find_doubts
from daycast.variables import BUILT_IN

TEN = datetime(2025, 3, 1, 10, tzinfo=UTC)


def batch(
    rows: list[tuple[str, datetime, float | None, float | None]],
    doubts: tuple[str, ...] = (),
    tolerance: timedelta | None = timedelta(0),
) -> SourceBatch:
    names = ["station_id", "observed_at", "air_temperature_c", "precipitation_mm"]
    readings = pl.DataFrame(rows, schema=names, orient="row")
    readings = readings.with_columns(pl.col("observed_at").cast(pl.Datetime("us", "UTC")), received_at="observed_at")
    return SourceBatch(
        "x.csv", "", readings, readings, no_problems(), complete=True, doubts=doubts, tolerance=tolerance
    )


def test_rows_of_one_instant_that_differ_are_pointed_at() -> None:
    rows = [("A", TEN, 5.0, 0.2), ("A", TEN, 25.0, 0.2), ("B", TEN, 5.0, 0.0), ("A", TEN, -5.0, 0.2)]
    (doubt,) = find_doubts([batch(rows)], BUILT_IN)
    assert doubt.startswith(
        "rows of one station and instant differ, 1 time (station A, 2025-03-01T10:00Z, air_temperature_c 5, 25, -5)"
    )


@pytest.mark.parametrize(
    ("walls", "zone"),
    [
        (["2025-10-26T02:00", "2025-10-26T02:30"], "Europe/Berlin"),
        (["2023-10-29T02:15", "2024-10-27T02:15", "2025-10-26T02:45"], "Europe/Berlin"),
        (["2025-11-02T01:20"], "America/New_York"),
        (["2025-04-06T02:40"], "Australia/Sydney"),
    ],
)
def test_rows_that_differ_in_the_hour_that_came_twice_name_the_timezone(walls: list[str], zone: str) -> None:
    instants = [datetime.fromisoformat(wall).replace(tzinfo=UTC) for wall in walls]
    (doubt,) = find_doubts([batch([("A", at, value, None) for at in instants for value in (5.0, 6.0)])], BUILT_IN)
    assert f"set timezone, because clocks went back then, for example in {zone}; else map" in doubt


@pytest.mark.parametrize(
    "walls", [["2025-03-30T02:30"], ["2025-10-26T02:30", "2025-10-27T02:30"], ["2025-07-06T01:00"]]
)
def test_rows_that_differ_at_other_times_do_not(walls: list[str]) -> None:
    instants = [datetime.fromisoformat(wall).replace(tzinfo=UTC) for wall in walls]
    (doubt,) = find_doubts([batch([("A", at, value, None) for at in instants for value in (5.0, 6.0)])], BUILT_IN)
    assert "timezone" not in doubt


def test_a_source_of_a_kind_that_fixes_how_rows_are_read_is_told_nothing_to_set() -> None:
    rows = [("5480", TEN, 5.0, 0.2), ("5480", TEN, 25.0, 0.2)]
    stations = pl.DataFrame({"station_id": ["05480"], "latitude": [51.6]})
    (doubt,) = find_doubts([batch(rows, tolerance=None)], BUILT_IN, stations)
    assert doubt.startswith("stations '05480' and '5480' differ in leading zeros only")


def test_rows_that_repeat_or_complete_each_other_are_no_conflict() -> None:
    rows = [("A", TEN, 5.0, None), ("A", TEN, 5.0, None), ("A", TEN, None, 0.2)]
    assert find_doubts([batch(rows)], BUILT_IN) == []


def test_conflicts_between_files_count_and_a_source_says_each_doubt_once() -> None:
    first, second = batch([("A", TEN, 5.0, None)], ("odd",)), batch([("A", TEN, 6.0, None)], ("odd",))
    assert [doubt[:4] for doubt in find_doubts([first, second], BUILT_IN)] == ["odd", "rows"]


# Values


def series(name: str, values: list[float | None], minutes: int = 60, station: str = "A") -> SourceBatch:
    """A batch of one station with these values, one after the other."""
    instants = [TEN + timedelta(minutes=minutes * number) for number in range(len(values))]
    readings = pl.DataFrame(
        {"station_id": station, "observed_at": instants, name: pl.Series(values, dtype=pl.Float64, strict=False)}
    )
    readings = readings.with_columns(
        pl.col("observed_at").cast(pl.Datetime("us", "UTC")), pl.col(name).cast(pl.Float64), received_at="observed_at"
    )
    return SourceBatch("x.csv", "", readings, readings, no_problems(), complete=True, tolerance=timedelta(0))


def doubts_about(name: str, values: list[float | None], minutes: int = 60) -> list[str]:
    return find_doubts([series(name, values, minutes)], BUILT_IN)


@pytest.mark.parametrize("values", [[11, 13, 36], [0, 4, 18, 27, 36, 35], [1, 2, 3, None, 12]])
def test_directions_that_never_exceed_36_are_pointed_at(values: list[float | None]) -> None:
    (doubt,) = doubts_about("wind_from_deg", values)
    assert doubt.startswith("wind_from_deg never exceeds 36")
    assert doubt.endswith("set factor = 10 on its column")


@pytest.mark.parametrize("values", [[10, 20, 30, 20], [11, 13, 37], [11.5, 13, 36], [11, 13, 11, 13], [None, None]])
def test_a_northerly_wind_is_no_wind_in_tens_of_degrees(values: list[float | None]) -> None:
    assert doubts_about("wind_from_deg", values) == []


def test_three_directions_of_an_hour_prove_nothing() -> None:
    assert doubts_about("wind_from_deg", [11, 13, 36], minutes=5) == []


@pytest.mark.parametrize("values", [[0.5, 0.62, 0.7, 0.81, 0.9, 1.0], [0, 0.4, 1, 1, 0.97, 1.02, 1, 0.8]])
def test_humidity_that_never_exceeds_1_is_pointed_at(values: list[float | None]) -> None:
    (doubt,) = doubts_about("relative_humidity_pct", values)
    assert doubt.startswith(f"relative_humidity_pct never exceeds {max(values):g} in {len(values)} rows (station A, ")
    assert doubt.endswith("set factor = 100 on its column")


def test_one_station_of_several_may_write_fractions() -> None:
    name = "relative_humidity_pct"
    both = [series(name, [0.5, 0.62, 0.7, 0.81, 0.9, 1.0]), series(name, [50, 62, 70.5, 81, 90, 95], station="B")]
    (doubt,) = find_doubts(both, BUILT_IN)
    assert "1 other station has percent" in doubt


@pytest.mark.parametrize(
    ("values", "minutes"),
    [
        ([0, 0, 1, 1, 0, 1, 0, 0], 60),  # a sensor that is broken
        ([0.5, 0.6, 0.7, 0.8, 0.9, 0.95], 5),  # of half an hour
        ([0.5, 0.6, 0.7, 2.0, 0.9, 0.95], 60),
        ([0.5, 0.6, 0.7], 60),
    ],
)
def test_other_low_humidity_is_no_fraction(values: list[float | None], minutes: int) -> None:
    assert doubts_about("relative_humidity_pct", values, minutes) == []


@pytest.mark.parametrize(
    ("name", "values", "marker"),
    [
        ("air_temperature_c", [14.2, -99, 15.1, 16.0, -99, 17.3, 15.5], "-99"),
        ("air_temperature_c", [-9.2, -72.8, -3.1, -5.0, -72.8, 1.3], "-72.8"),  # -99 °F, within the limits
        ("relative_humidity_pct", [80, 999.9, 81, 85, 92, 999.9], "999.9"),
        ("wind_speed_m_s", [3.1, 99.9, 2.0, 99.9, 0.4, 5.5], "99.9"),
        ("station_pressure_hpa", [1001, 1003, -9999, 1002.5, -9999, 1004], "-9999"),
        ("precipitation_mm", [0, 0, 0.4, 99.99, 0, 1.2, 99.99, 0.2, 0], "99.99"),
        ("wind_from_deg", [120, 999, 240, 300, 999, 60], "999"),
    ],
)
def test_a_value_that_is_repeated_far_from_the_rest_is_pointed_at(
    name: str, values: list[float | None], marker: str
) -> None:
    (doubt,) = doubts_about(name, values)
    assert doubt.startswith(f"{name} is {marker} in 2 rows, and the rest is ")
    assert "add it to missing" in doubt


def test_two_markers_of_one_column_are_both_found() -> None:
    doubts = doubts_about("air_temperature_c", [14.2, -99, 15.1, 99.9, -99, 17.3, 99.9, 16.0])
    assert {doubt.split(" in ")[0] for doubt in doubts} == {"air_temperature_c is 99.9", "air_temperature_c is -99"}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("air_temperature_c", [14.2, -40.1, 15.1, 16.0, -40.2, 17.3]),  # never the same value twice
        ("air_temperature_c", [14.2, 15.1, 15.1, 16.0, 21.0, 21.0]),
        ("precipitation_mm", [0, 0, 0, 0.2, 0, 0.2, 0, 12.5, 0, 0]),
        ("relative_humidity_pct", [100, 100, 100, 88, 88, 100, 99, 97]),
        ("wind_from_deg", [350, 355, 345, 10, 10, 352]),
        ("air_temperature_c", [5.0, 5.0]),
    ],
)
def test_weather_is_no_missing_marker(name: str, values: list[float | None]) -> None:
    assert doubts_about(name, values) == []


# Counters


DAY_COUNTER = [0, 0, 0.2, 0.6, 0.6, 0.6, 0.6, 1.4, 1.4, 1.4, 1.4, 1.4, 0, 0, 0, 0.4, 0.4, 0.4]
SHOWERS = [0, 0, 0.2, 0.4, 0.2, 0, 0, 0, 1.2, 0.2, 0, 0, 0.2, 0.2, 0, 0, 0, 3.4, 0.6, 0.2, 0, 0, 0]
DRIZZLE = [0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0, 0.2, 0.2, 0.2, 0, 0, 0.2, 0.2, 0.2, 0.2, 0.2, 0]
ONSET = [0, 0.2, 0.2, 0.4, 0.4, 0.6, 0.8, 1.0]


def test_rain_that_only_rises_stays_or_begins_again_is_pointed_at() -> None:
    (doubt,) = doubts_about("precipitation_mm", DAY_COUNTER)
    assert doubt.startswith("precipitation_mm behaves like a counter or a running total")
    assert "(1 falls in 12 steps; station A from 0.2 at 2025-03-01T12:00Z to 0.6 at 2025-03-01T13:00Z)" in doubt
    assert 'set cell_method = "counter" or "running_hour"' in doubt


def test_a_counter_of_the_year_and_a_total_of_the_hour_are_pointed_at_too() -> None:
    year = [312.0, 312.0, 312.2, 312.2, 312.8, 312.8, 312.8]
    hours = [0.2 * minute for _ in range(4) for minute in range(12)]  # rows of 5 minutes
    assert len(doubts_about("precipitation_mm", year)) == len(doubts_about("precipitation_mm", hours, 5)) == 1


def test_a_gust_that_is_the_highest_since_midnight_is_pointed_at() -> None:
    (doubt,) = doubts_about("wind_gust_m_s", [2, 3, 3, 3, 8, 8, 8, 8, 11, 11, 11, 11, 11, 1, 1, 4, 4, 4])
    assert doubt.endswith("map the highest value since the row before, or old gusts count again and again")


@pytest.mark.parametrize("values", [SHOWERS, DRIZZLE, ONSET, [0] * 20, [0.2] * 20])
def test_rain_of_each_row_is_no_counter(values: list[float | None]) -> None:
    assert doubts_about("precipitation_mm", values) == []


def test_a_declared_counter_is_not_pointed_at() -> None:
    declared = {"precipitation_mm": Accumulation("gauge", "counter")}
    assert find_doubts([replace(series("precipitation_mm", DAY_COUNTER), accumulations=declared)], BUILT_IN) == []


def daily(falls_at: int, zone: str = "UTC", days: int = 3, minutes: int = 60) -> list[str]:
    """The doubts about a counter of the day that falls at this hour (UTC), declared to begin anew at midnight in `zone`."""
    values, total = [], 1.0
    for number in range(days * 24 * 60 // minutes):
        at = TEN + timedelta(minutes=minutes * number)
        total = 0.0 if (at.hour, at.minute) == (falls_at, 0) else total + 0.25
        values.append(total)
    resets = CalendarReset("1d", timedelta(0), zone)
    declared = {"precipitation_mm": Accumulation("gauge", "counter", resets=resets)}
    return find_doubts([replace(series("precipitation_mm", values, minutes), accumulations=declared)], BUILT_IN)


def test_a_counter_that_is_reset_at_another_time_than_declared_is_pointed_at() -> None:
    (doubt,) = daily(16, days=4)
    assert doubt.startswith(
        "the counter of precipitation_mm falls at 16:00 UTC, 4 times (station A, 2025-03-01T16:00Z,"
    )
    assert "never at the reset that resets declares in UTC: set timezone, or resets" in doubt
    (other,) = daily(0, "America/Denver", minutes=10)
    assert "falls at 00:00 UTC, 3 times" in other
    assert "in America/Denver" in other


def test_a_counter_that_is_reset_when_declared_or_once_by_hand_is_not_pointed_at() -> None:
    assert daily(0) == daily(15, "Asia/Tokyo") == daily(16, days=1) == daily(7, "America/Denver", minutes=10) == []


def counted(values: list[float], minutes: int = 60, **declared: Any) -> list[str]:
    """The doubts about a counter, or another total, without or with what it is declared to be."""
    accumulation = Accumulation("gauge", declared.pop("cell_method", "counter"), **declared)
    given = series("precipitation_mm", list(values), minutes)
    return find_doubts([replace(given, accumulations={"precipitation_mm": accumulation})], BUILT_IN)


def days_of_rain(*amounts: float, rows: int = 24) -> list[float]:
    """A counter that begins anew each day at TEN, with this much in each row of a day."""
    return [round(amount * (row + 1), 3) for amount in amounts for row in range(rows)]


def test_a_counter_that_falls_each_day_and_not_on_one_of_them_is_pointed_at() -> None:
    drizzle_before_a_storm = [*days_of_rain(0.25, 0.25, 0.25), *[0.2] * 24, *days_of_rain(0.25)]
    (doubt,) = counted(drizzle_before_a_storm)
    assert "falls at 10:00 UTC, 3 times" in doubt
    assert "and not always: station A, 2025-03-05T10:00Z, 0.25" in doubt
    assert 'if it begins anew each day, set resets = "daily"' in doubt
    many = [*days_of_rain(0.25, 0.5, 0.25, rows=144), *[1.0] * 144, *days_of_rain(1.25, rows=144)]
    assert len(counted(many, 10)) == 1


def test_a_counter_of_which_each_reset_is_a_fall_is_not_pointed_at() -> None:
    assert counted(days_of_rain(0.25, 0.25, 0.25)) == []
    assert counted([*[0.0] * 24, *days_of_rain(0.25, 0.25, 0.5)]) == []


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ([9.0, 9.4, 9.8, 0.2, 0.4], "10"),
        ([99.2, 99.6, 0.4, 0.4, 1.0], "100"),
        ([9998.0, 9999.8, 0.0, 0.2], "10000"),
    ],
)
def test_a_counter_that_falls_at_the_end_of_its_digits_is_pointed_at(values: list[float], end: str) -> None:
    (doubt,) = counted(values)
    assert f"falls just below {end} (station A, " in doubt
    assert "set rollover on its column, in the column's unit" in doubt
    assert counted(values, rollover=float(end)) == []


@pytest.mark.parametrize("values", [[4.0, 5.2, 5.4, 0.2, 0.4], [0.96, 0.98, 0.02, 0.2], [300.2, 312.0, 0.0]])
def test_a_counter_that_falls_elsewhere_once_is_not_pointed_at(values: list[float]) -> None:
    assert counted(values) == []


@pytest.mark.parametrize(
    ("values", "minutes", "way_out"),
    [
        ([0.1, 0.2, 0.2, 0.2, 0.0, 0.1, 0.0], 30, "set reset_minute = 30, after which it falls,"),  # 0.2 of two hours
        ([0.0, 0.4, 0.2, 0.2, 0.0, 0.3, 0.3], 30, "set reset_minute = 30, after which it falls,"),  # 0.3 at 13:00
        ([0.2, 0.2, 0.2, 0.2], 20, "set reset_minute"),
        ([0.0, *[0.2] * 13], 5, "set reset_minute"),
    ],
)
def test_totals_of_two_hours_that_look_like_one_are_pointed_at(values: list[float], minutes: int, way_out: str) -> None:
    (doubt,) = counted(values, minutes, cell_method="running_hour")
    assert doubt.startswith(
        "precipitation_mm, the total of a running hour, began anew and was no lower for it (station A, "
    )
    assert doubt.endswith(f"so only its rise counts: {way_out} on its column")
    assert counted(values, minutes, cell_method="running_hour", reset_minute=30) == []


@pytest.mark.parametrize(
    ("values", "minutes"),
    [
        ([0.2, 0.2, 0.2, 0.4], 60),  # hourly: each counts
        ([0.0, 0.2, 0.0, 0.0], 30),
        ([0.1, 0.2, 0.1, 0.1, 0.0, 0.3, 0.2, 0.4], 30),
        ([0.2] * 12, 5),  # of one hour
    ],
)
def test_totals_that_fall_when_they_begin_anew_are_not_pointed_at(values: list[float], minutes: int) -> None:
    assert counted(values, minutes, cell_method="running_hour") == []


@pytest.mark.parametrize(("values", "found"), [(DAY_COUNTER, 1), (SHOWERS, 0)])
def test_rows_that_come_one_by_one_are_judged_with_those_before_them(values: list[float], found: int) -> None:
    given = series("precipitation_mm", list(values))
    whole = given.readings.with_columns(wind_gust_m_s=pl.lit(None, pl.Float64)).with_row_index("row_number")
    wet, dry = (replace(given, readings=whole.drop("row_number")[at : at + 1]) for at in (8, 0))
    assert len(find_slow_counters([wet], BUILT_IN, lambda _: whole)) == found
    assert find_slow_counters([dry], BUILT_IN, lambda _: whole) == []


def test_what_many_files_have_in_common_is_told_of_three() -> None:
    doubts = Doubts()
    for number in range(9):
        doubts.add([f"in/{number}.csv: {number} rows have fewer fields", "set timezone"], [f"in/{number}.csv"])
    assert doubts.told()[-1] == "set timezone"
    assert [line[:8] for line in doubts.told()[:3]] == ["in/0.csv", "in/1.csv", "in/2.csv"]
    assert doubts.told()[3] == "and 6 more files like the last"


def test_what_many_stations_have_in_common_is_told_of_three_and_other_doubts_are_told() -> None:
    doubts = Doubts()
    doubts.add(f"station S{number} goes on through 2025-03-30 02:00" for number in range(5))
    doubts.add(["wind_from_deg never exceeds 36 in 7 rows (station A)", "stations 'a' and 'A' differ in case only"])
    assert [line.split(" ")[1] for line in doubts.told()] == ["S0", "S1", "S2", "some", "never", "'a'"]


# Stations


def spellings(came: list[str], known: dict[str, float | None]) -> list[str]:
    batches = [series("air_temperature_c", [1.0], station=station) for station in came]
    stations = pl.DataFrame({"station_id": list(known), "latitude": list(known.values())})
    return find_doubts(batches, BUILT_IN, stations)


@pytest.mark.parametrize(
    ("came", "known", "what"),
    [
        (
            ["5480"],
            {"05480": 51.0},
            "stations '05480' and '5480' differ in leading zeros only, and '5480' has no position",
        ),
        (["007", "7"], {}, "stations '007' and '7' differ in leading zeros only: if they are one"),
        (
            ["7", "7.0"],
            {},
            "stations '7' and '7.0' differ in decimals only: if they are one station, set station_width = 1",
        ),
        (["7.0"], {"007": 1.0}, "stations '007' and '7.0' differ in leading zeros and decimals only, and '7.0' has no"),
        (["Roof"], {"roof": None}, "stations 'Roof' and 'roof' differ in case only: if"),
        (
            ["Roof 1", "Roof1"],
            {"Roof1": 1.0},
            "stations 'Roof 1' and 'Roof1' differ in blanks only, and 'Roof 1' has no",
        ),
    ],
)
def test_ids_that_differ_in_their_spelling_are_pointed_at(
    came: list[str], known: dict[str, float | None], what: str
) -> None:
    (doubt,) = spellings(came, known)
    assert doubt.startswith(what)


def test_other_ids_are_different_stations_and_known_ones_that_do_not_come_are_left_alone() -> None:
    assert spellings(["7.0", "7.5", "70"], {"7.1": None}) == []
    assert spellings(["10", "100", "1", "roof"], {"roof-1": 1.0, "010": None, "b": 1.0, "B": 1.0, "2": 1.0})[1:] == []
    assert spellings(["a"], {"b": 1.0, "B": 1.0}) == []
    assert spellings(["0", "00"], {})[0].startswith("stations '0' and '00'")


def test_the_width_to_set_is_that_of_the_longest() -> None:
    assert spellings(["5480"], {"05480": 51.0})[0].endswith("if they are one station, set station_width = 5")


# Times


def stamped(
    seconds: list[int], step: timedelta = timedelta(hours=1), tolerance: timedelta = timedelta(0)
) -> SourceBatch:
    """A reading every `step`, so many seconds after (or before) the time it is due."""
    rows = [("L", TEN + number * step + timedelta(seconds=late), 1.0, 0.0) for number, late in enumerate(seconds)]
    return batch(rows, tolerance=tolerance)


def test_hourly_stamps_that_scatter_around_the_hour_are_pointed_at() -> None:
    (doubt,) = find_doubts([stamped([-3, 2, 0, 7, 1, -2, 3, 0])], BUILT_IN)
    assert doubt.startswith("4 readings are stamped seconds past a full hour")
    assert "station L, 2025-03-01T11:00:02Z" in doubt
    assert 'set tolerance = "10s"' in doubt


def test_stamps_that_are_always_late_are_pointed_at_too() -> None:
    (doubt,) = find_doubts([stamped([40] * 6)], BUILT_IN)
    assert 'set tolerance = "60s"' in doubt


@pytest.mark.parametrize(
    ("seconds", "proposed"), [([75, 61, 90, 70] * 3, "90s"), ([110, 95, 120, 0, 100, 119], "120s")]
)
def test_hourly_stamps_that_are_a_minute_or_two_late_are_pointed_at(seconds: list[int], proposed: str) -> None:
    (doubt,) = find_doubts([stamped(seconds)], BUILT_IN)
    assert f'set tolerance = "{proposed}"' in doubt


def test_readings_that_come_often_are_as_late_by_chance() -> None:
    assert find_doubts([stamped([90] * 80, timedelta(minutes=10))], BUILT_IN) == []
    assert find_doubts([stamped([130] * 20)], BUILT_IN) == []


def test_full_hours_a_declared_tolerance_and_frequent_readings_are_no_scatter() -> None:
    assert find_doubts([stamped([0] * 20)], BUILT_IN) == []
    assert find_doubts([stamped([-30] * 20)], BUILT_IN) == []  # these count for the hour they are near to
    assert find_doubts([stamped([2] * 20, tolerance=timedelta(seconds=5))], BUILT_IN) == []
    late = [("L", TEN + timedelta(hours=hour, seconds=2), 1.0, 0.0) for hour in range(9)]
    assert find_doubts([batch(late, tolerance=None)], BUILT_IN) == []  # a kind without the setting
    assert find_doubts([stamped([3, 8] * 90, timedelta(minutes=1))], BUILT_IN) == []
    assert find_doubts([stamped([1800, 900, 2400] * 5)], BUILT_IN) == []


def test_readings_that_may_stand_for_two_instants_are_no_conflict() -> None:
    first, second = batch([("A", TEN, 5.0, None)]), batch([("A", TEN, 6.0, None)])
    later = second.readings.with_columns(later_at=pl.col("observed_at") + timedelta(hours=1))
    undecided = SourceBatch("y.csv", "", later, later, no_problems(), complete=True, tolerance=timedelta(0))
    assert find_doubts([first, undecided], BUILT_IN) == []


def on_dates(dates: list[str], time_format: str, hours: tuple[int, ...] = (0, 12)) -> SourceBatch:
    days = [datetime.fromisoformat(f"{date}T00:00:00+00:00") for date in dates]
    rows = [("A", day + timedelta(hours=hour), float(hour), None) for day in days for hour in hours]
    return replace(batch(rows), time_format=time_format)


@pytest.mark.parametrize(
    ("dates", "time_format", "told", "proposed"),
    [
        ([f"2025-{day:02d}-03" for day in range(1, 13)], "%m/%d/%Y %H:%M",
         "12 of 12 dates are read as 2025-01-03, 2025-02-03, 2025-03-03 …, and would follow each other as 2025-03-01,",
         "%d/%m/%Y %H:%M"),
        (["2025-04-07", "2025-05-07", "2025-06-07"], "%-d.%-m.%y %H:%M", "3 of 3 dates are read as 2025-04-07,",
         "%-m.%-d.%y %H:%M"),
        ([f"2025-{day:02d}-03" for day in range(9, 13)] + [f"2025-{day:02d}-04" for day in range(1, 7)], "%Y-%d-%m %H:%M",
         "10 of 10 dates are read as 2025-01-04,", "%Y-%m-%d %H:%M"),
    ],
)  # fmt: skip
def test_days_that_jump_by_months_are_pointed_at(dates: list[str], time_format: str, told: str, proposed: str) -> None:
    (doubt,) = find_doubts([on_dates(dates, time_format)], BUILT_IN)
    assert told in doubt
    assert doubt.endswith(f'if day and month are exchanged, set format = "{proposed}"')
    by_file = [on_dates([date], time_format) for date in dates]
    assert find_doubts(by_file, BUILT_IN) == [doubt]
    evenings = [on_dates([date], time_format, (2, 10, 18, 26)) for date in dates]  # in UTC these are of the next day
    assert told in find_doubts(evenings, BUILT_IN)[0]
    west = [on_dates([date], time_format, (12, 26)) for date in dates]  # the next day holds half
    assert proposed in find_doubts(west, BUILT_IN)[0]


@pytest.mark.parametrize(
    ("dates", "time_format"),
    [
        ([f"2025-03-{day:02d}" for day in range(1, 13)], "%d/%m/%Y %H:%M"),  # days that follow each other
        ([f"2025-{month:02d}-03" for month in range(1, 13)], ""),  # ISO 8601 has no order to exchange
        (["2025-01-03", "2025-02-20", "2025-03-03"], "%m/%d/%Y"),
        (["2025-01-03", "2025-02-03"], "%m/%d/%Y"),
        (["2025-01-03", "2025-02-07", "2025-03-11", "2025-04-02"], "%m/%d/%Y"),  # visits now and then
    ],
)
def test_other_dates_are_not_pointed_at(dates: list[str], time_format: str) -> None:
    assert find_doubts([on_dates(dates, time_format)], BUILT_IN) == []
