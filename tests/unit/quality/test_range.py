"""Checks of single values: against the physical limits, the climatology of the station, and its neighbours."""

import math

import numpy as np
import pytest

from daycast.quality.flags import FAIL, SUSPECT
from daycast.quality.limits import Limits
from daycast.quality.range import check_climatology, check_limits, check_neighbours, lapse_rate
from daycast.variables import Variable

GAP = math.nan
TEMPERATURE = Variable("air_temperature_c", "air temperature", "°C", -95.0, 65.0)


def test_values_beyond_the_limits_fail_and_those_on_them_do_not() -> None:
    finding = check_limits(np.array([-95.1, -95.0, 0.0, 65.0, 65.1, math.inf, -math.inf, GAP]), TEMPERATURE)
    assert (finding.check, finding.flag, list(finding.lags)) == ("gross_range", FAIL, [0])
    assert finding.fired.tolist() == [True, False, False, False, True, True, True, False]


def climatology_fires(value: float, deviation: float = 2.0, hours: int = 480, *, most: float | None = 5.0) -> bool:
    """Of a station whose past months had a mean of 10."""
    own = np.array([10.0]), np.array([deviation]), np.array([hours])
    finding = check_climatology(np.array([value]), *own, Limits(climatology_deviations=most))
    assert (finding.check, finding.flag, list(finding.lags)) == ("climatology", SUSPECT, [0])
    return bool(finding.fired[0])


def test_what_is_too_many_deviations_from_the_mean_is_suspected_on_both_sides() -> None:
    assert [climatology_fires(value) for value in (-0.5, 0.0, 20.0, 20.5)] == [True, False, False, True]


def test_fewer_hours_than_twenty_days_tell_nothing() -> None:
    assert not climatology_fires(99.0, hours=479)


def test_a_past_that_never_varied_or_is_unknown_accuses_nothing() -> None:
    assert not climatology_fires(99.0, deviation=0.0)
    assert not climatology_fires(99.0, deviation=GAP)
    assert not climatology_fires(GAP)


def test_without_a_limit_the_past_months_say_nothing() -> None:
    assert not climatology_fires(99.0, most=None)


def neighbours_fire(value: float, neighbours: list[float], *, most: float | None = 5.0) -> bool:
    others = (np.array([other]) for other in neighbours)
    finding = check_neighbours(np.array([value]), others, Limits(neighbour_difference=most))
    assert (finding.check, finding.flag, list(finding.lags)) == ("neighbours", SUSPECT, [0])
    return bool(finding.fired[0])


def test_a_value_far_from_every_one_of_three_neighbours_is_suspected() -> None:
    assert neighbours_fire(20.0, [10.0, 12.0, 14.9])
    assert not neighbours_fire(20.0, [10.0, 12.0, 15.0])  # 5 from the last: not further


def test_a_value_between_its_neighbours_and_far_from_all_is_suspected() -> None:
    assert neighbours_fire(20.0, [10.0, 10.0, 30.0])


def test_two_neighbours_are_too_few_to_accuse() -> None:
    assert not neighbours_fire(20.0, [10.0, 10.0])
    assert not neighbours_fire(20.0, [10.0, GAP, 10.0, GAP])
    assert neighbours_fire(20.0, [10.0, GAP, 10.0, 10.0])


def test_a_missing_value_or_none_to_compare_with_is_not_suspected() -> None:
    assert not neighbours_fire(GAP, [10.0, 10.0, 10.0])
    assert not neighbours_fire(20.0, [])
    assert not neighbours_fire(20.0, [10.0, 10.0, 10.0], most=None)


def test_each_place_is_compared_by_itself() -> None:
    value = np.array([[1.0, 1.0], [9.0, 1.0]])
    others = [np.ones((2, 2)), np.ones((2, 2)), np.array([[1.0, 1.0], [1.0, GAP]])]
    assert check_neighbours(value, others, Limits(neighbour_difference=5.0)).fired.tolist() == [
        [False, False],
        [True, False],
    ]


@pytest.mark.parametrize(("variable", "a_kilometre_up"), [("air_temperature_c", -6.5), ("sea_level_pressure_hpa", 0.0)])
def test_what_can_be_brought_to_another_elevation(variable: str, a_kilometre_up: float) -> None:
    per_metre = lapse_rate(variable)
    assert per_metre is not None
    assert 1000 * per_metre == pytest.approx(a_kilometre_up)


def test_the_dew_point_falls_less_with_elevation_than_the_air_temperature() -> None:
    dew, air = lapse_rate("dew_point_c"), lapse_rate("air_temperature_c")
    assert dew is not None
    assert air is not None
    assert air < dew < 0


@pytest.mark.parametrize("variable", ["wind_speed_m_s", "wind_from_deg", "precipitation_mm", "soil_moisture_pct"])
def test_neighbours_are_not_asked_about_what_is_of_the_place(variable: str) -> None:
    assert lapse_rate(variable) is None
