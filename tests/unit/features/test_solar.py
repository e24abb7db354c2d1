"""The sun, against the calendar and against the longer series of Meeus."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from daycast.features.solar import make_sun_table
from daycast.times import HOUR


def meeus(time: datetime) -> tuple[float, float]:
    """Declination (°) and equation of time (minutes): Meeus, Astronomical Algorithms (1998), chapters 25 and 28; within 0.01°."""
    century = (time - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400 / 36525
    mean_longitude = math.radians((280.46646 + 36000.76983 * century) % 360)
    anomaly = math.radians(357.52911 + 35999.05029 * century)
    centre = math.radians(
        (1.914602 - 0.004817 * century) * math.sin(anomaly)
        + 0.019993 * math.sin(2 * anomaly)
        + 0.000289 * math.sin(3 * anomaly)
    )
    obliquity = math.radians(23.439291 - 0.0130042 * century)
    declination = math.asin(math.sin(obliquity) * math.sin(mean_longitude + centre))
    y, e = math.tan(obliquity / 2) ** 2, 0.016708634
    equation = (
        y * math.sin(2 * mean_longitude)
        - 2 * e * math.sin(anomaly)
        + 4 * e * y * math.sin(anomaly) * math.cos(2 * mean_longitude)
        - y * y / 2 * math.sin(4 * mean_longitude)
        - 1.25 * e * e * math.sin(2 * anomaly)
    )
    return math.degrees(declination), math.degrees(equation) * 4


def declination(time: datetime) -> float:
    """Degrees, of the table that begins at this hour."""
    return math.degrees(make_sun_table(time, 1).declination[0])


@pytest.mark.parametrize(
    ("hour", "degrees"),
    [
        (datetime(2026, 3, 20, 15, tzinfo=UTC), 0.0),  # equinox at 14:46
        (datetime(2026, 9, 23, 0, tzinfo=UTC), 0.0),  # equinox at 00:05
        (datetime(2026, 6, 21, 8, tzinfo=UTC), 23.44),  # solstice at 08:24
        (datetime(2026, 12, 21, 21, tzinfo=UTC), -23.44),  # solstice at 20:50
    ],
)
def test_the_sun_stands_where_the_almanac_has_it_at_equinox_and_solstice(hour: datetime, degrees: float) -> None:
    assert declination(hour) == pytest.approx(degrees, abs=0.25)


@pytest.mark.parametrize(("month", "day", "noon_minute"), [(2, 11, 14.2), (11, 3, -16.4), (4, 15, 0.0), (9, 1, 0.0)])
def test_solar_noon_at_longitude_zero_is_when_the_almanac_has_it(month: int, day: int, noon_minute: float) -> None:
    angle = make_sun_table(datetime(2026, month, day, 12, tzinfo=UTC), 1).hour_angle[
        0
    ]  # minutes past solar noon, as an angle
    assert -math.degrees(angle) * 4 == pytest.approx(noon_minute, abs=0.75)


def test_the_table_stays_near_the_longer_series_through_two_leap_cycles() -> None:
    start = datetime(2021, 1, 1, tzinfo=UTC)
    at = np.arange(0, 8 * 8766, 31)
    table = make_sun_table(start, 8 * 8766)
    declinations, equations = np.transpose([meeus(start + int(hour) * HOUR) for hour in at])
    clock = (at % 24 - 12) * 15.0
    np.testing.assert_allclose(np.degrees(table.declination[at]), declinations, rtol=0, atol=0.4)
    np.testing.assert_allclose((np.degrees(table.hour_angle[at]) - clock) * 4, equations, rtol=0, atol=0.75)


def test_the_hour_angle_turns_15_degrees_an_hour() -> None:
    table = make_sun_table(datetime(2026, 5, 1, tzinfo=UTC), 12)
    np.testing.assert_allclose(np.degrees(np.diff(table.hour_angle)), 15.0, atol=0.01)


@pytest.mark.parametrize(("year", "hours"), [(2024, 8784), (2026, 8760)])
def test_the_year_angle_goes_round_once_a_year_of_any_length(year: int, hours: int) -> None:
    angle = make_sun_table(datetime(year, 1, 1, tzinfo=UTC), hours + 1).year_angle
    assert angle[[0, hours // 2, -1]] == pytest.approx([0.0, math.pi, 0.0], abs=1e-6)
    assert angle[-2] == pytest.approx(2 * math.pi * (1 - 1 / hours), abs=1e-5)
