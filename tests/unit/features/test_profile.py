"""The profile of readings, against what is counted and calculated by hand."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from math import cos, pi

import polars as pl
import pytest

from daycast.features.profile import ClockSuspect, Gap, Profile, make_profile

START = datetime(2025, 3, 1, tzinfo=UTC)
NAMES = ["air_temperature_c", "precipitation_mm"]
Row = tuple[str, datetime, float | None, float | None]


def profile_of(
    rows: Sequence[Row],
    longitudes: dict[str, float] | None = None,
    names: Sequence[str] = NAMES,
    tolerance: timedelta = timedelta(0),
) -> Profile:
    schema = {"station_id": pl.String, "observed_at": pl.Datetime("us", "UTC"), **dict.fromkeys(NAMES, pl.Float64)}
    readings = pl.DataFrame(rows, schema=schema, orient="row")
    places = pl.DataFrame(
        list((longitudes or {}).items()), {"station_id": pl.String, "longitude": pl.Float64}, orient="row"
    )
    return make_profile(readings, names, places, tolerance)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def test_hours_run_from_the_first_to_the_last_of_each_station() -> None:
    rows: list[Row] = [
        ("B", at(10), 1.0, None),
        ("A", at(0), 1.0, None),
        ("A", at(3), 1.0, None),
        ("A", at(1), 1.0, None),
    ]
    coverage = profile_of(rows).coverage
    assert coverage is not None
    assert coverage.station_ids == ("A", "B")
    assert (coverage.first, coverage.last) == (at(0), at(10))
    assert (coverage.hours, coverage.covered) == (4 + 1, 3 + 1)
    assert coverage.longest_gap == Gap("A", at(1), 1)


def test_the_longest_of_several_gaps_is_told_and_readings_within_an_hour_count_for_its_end() -> None:
    rows: list[Row] = [("A", at(hour), 1.0, None) for hour in (0, 0.25, 0.5, 0.75, 1, 3, 3.5, 9, 12)]
    coverage = profile_of(rows).coverage
    assert coverage is not None
    assert coverage.step == timedelta(minutes=15)
    assert (coverage.hours, coverage.covered) == (13, 6)  # 0, 1, 3, 4, 9 and 12
    assert coverage.longest_gap == Gap("A", at(4), 4)


def test_stamps_just_past_the_hour_count_for_it_within_the_tolerance() -> None:
    jitter = [5, -5, 0, 4, -3]
    rows: list[Row] = [("A", at(hour) + timedelta(seconds=by), 1.0, None) for hour, by in enumerate(jitter)]
    strict, tolerant = profile_of(rows).coverage, profile_of(rows, tolerance=timedelta(seconds=5)).coverage
    assert strict is not None
    assert tolerant is not None
    assert (strict.covered, strict.hours) == (3, 4)  # 1, 1, 2, 4 and 4
    assert (tolerant.covered, tolerant.hours) == (5, 5)


def test_one_row_has_neither_step_nor_gap() -> None:
    coverage = profile_of([("A", at(0), 1.0, None)]).coverage
    assert coverage is not None
    assert (coverage.step, coverage.longest_gap, coverage.hours) == (None, None, 1)


def test_of_nothing_there_is_nothing_to_tell() -> None:
    profile = profile_of([])
    assert (profile.rows, profile.values, profile.repeated, profile.missing) == (0, 0, 0, {})
    assert (profile.coverage, profile.cycle, profile.rain, profile.clock_suspects) == (None, None, None, ())


def test_a_value_repeats_if_an_earlier_row_of_the_instant_has_one_of_its_variable() -> None:
    rows: list[Row] = [
        ("A", at(0), 5.0, None),
        ("A", at(0), None, 0.2),  # another variable of the same instant, as in files with one value a row
        ("A", at(0), 6.0, None),  # repeats the temperature
        ("A", at(0), 6.0, 0.2),  # repeats both
        ("B", at(0), 5.0, 0.2),
    ]
    profile = profile_of(rows)
    assert (profile.rows, profile.values, profile.repeated) == (5, 7, 3)


def test_missing_is_a_share_of_the_hours_that_have_readings() -> None:
    rows: list[Row] = [
        ("A", at(0), 5.0, None),
        ("A", at(0.5), 5.0, None),
        ("A", at(1), None, 0.0),
        ("A", at(4), None, None),
    ]
    assert profile_of(rows).missing == pytest.approx({"air_temperature_c": 1 / 3, "precipitation_mm": 2 / 3})
    assert set(profile_of(rows, names=["air_temperature_c"]).missing) == {"air_temperature_c"}


def wave(station: str, warmest: float, days: int, mean: float = 10.0, amplitude: float = 4.0) -> list[Row]:
    """Hourly readings that are warmest at this hour in UTC."""
    return [
        (station, at(hour), mean + amplitude * cos(2 * pi * (hour - warmest) / 24), None) for hour in range(24 * days)
    ]


def test_the_daily_cycle_is_the_wave_it_was_made_of() -> None:
    cycle = profile_of(wave("A", 13.5, days=3)).cycle
    assert cycle is not None
    assert (cycle.hours, cycle.warmest_by_the_sun_h) == (72, None)
    assert cycle.amplitude_c == pytest.approx(4.0)
    assert cycle.warmest_h == pytest.approx(13.5)


def test_the_sun_of_two_stations_far_apart_is_that_of_each() -> None:
    rows = [*wave("east", 5.5, days=4), *wave("west", 21.5, days=4), *wave("somewhere", 3.0, days=4)]
    cycle = profile_of(rows, {"east": 135.0, "west": -105.0}).cycle  # 9 hours ahead, 7 behind: 14:30 at both
    assert cycle is not None
    assert cycle.warmest_by_the_sun_h == pytest.approx(14.5)


@pytest.mark.parametrize(
    "rows",
    [wave("A", 12.0, days=2), [row for row in wave("A", 12.0, days=9) if row[1].hour != 3]],
    ids=["short", "holes"],
)
def test_too_few_hours_are_no_cycle(rows: list[Row]) -> None:
    assert profile_of(rows).cycle is None


def test_a_station_whose_days_are_warmest_too_late_by_the_sun_is_suspect() -> None:
    rows = [*wave("good", 14.5, days=10), *wave("late", 20.5, days=10), *wave("flat", 20.5, days=10, amplitude=0.5)]
    profile = profile_of(rows, {"good": 0.0, "late": 0.0, "flat": 0.0})
    assert [one.station_id for one in profile.clock_suspects] == ["late"]
    assert profile.clock_suspects[0].offset_h == pytest.approx(6.0)


def test_an_early_clock_is_suspect_across_midnight_and_few_days_prove_nothing() -> None:
    rows = wave("A", 1.5, days=10)
    (suspect,) = profile_of(rows, {"A": 45.0}).clock_suspects  # 04:30 by the sun
    assert suspect == ClockSuspect("A", pytest.approx(-10.0))
    assert profile_of(rows[:216], {"A": 45.0}).clock_suspects == ()


def test_rain_is_added_up_by_hour_and_by_month() -> None:
    end = datetime(2025, 4, 1, tzinfo=UTC)
    rows: list[Row] = [
        ("A", end - timedelta(minutes=50), None, 1.0),
        ("A", end - timedelta(minutes=10), None, 9.0),
        ("A", end - timedelta(minutes=10), None, 2.0),  # corrects the one above
        ("A", end, None, 0.5),  # the hour that ends at midnight is the last of March
        ("A", end + timedelta(minutes=30), None, 0.25),
        ("B", end - timedelta(hours=5), None, 0.5),
        ("B", end + timedelta(hours=5), None, None),
    ]
    rain = profile_of(rows).rain
    assert rain is not None
    assert rain.months == ((date(2025, 3, 1), (3.5 + 0.5) / 2), (date(2025, 4, 1), 0.25))
    assert (rain.highest_mm, rain.highest_at, rain.highest_station) == (3.5, end, "A")


def test_the_order_of_the_rows_of_different_instants_does_not_matter() -> None:
    rows: list[Row] = [(station, at(hour), 5.0, 0.25 * hour) for hour in (0, 1, 1.5, 2, 7) for station in ("A", "B")]
    assert profile_of(rows) == profile_of(rows[::-1])
