"""Humidity, dew point and temperature, gust and wind: does one hour contradict itself, and which variable is flagged?"""

import math

import numpy as np
import pytest

from daycast.quality.consistency import check_consistency, humidity_disagrees
from daycast.quality.flags import SUSPECT

AIR, DEW, HUMIDITY = "air_temperature_c", "dew_point_c", "relative_humidity_pct"
WIND, GUST = "wind_speed_m_s", "wind_gust_m_s"


def blamed(flagged: tuple[str, ...] = (), **values: float) -> set[tuple[str, str]]:
    """Which variables of one hour are suspected, by which check."""
    hour = {name: np.array([value]) for name, value in values.items()}
    found = list(check_consistency(hour, {name: np.array([name in flagged]) for name in hour}))
    assert all(finding.flag == SUSPECT and list(finding.lags) == [0] for _, finding in found)
    return {(name, finding.check) for name, finding in found if finding.fired[0]}


def test_a_dew_point_above_the_air_temperature_is_suspected_with_it() -> None:
    check = "dew_point_above_air"
    assert blamed(**{AIR: 10.0, DEW: 11.0}) == {(AIR, check), (DEW, check)}


def test_a_dew_point_a_little_above_the_air_is_the_sensors_resolution() -> None:
    assert blamed(**{AIR: 10.0, DEW: 10.5}) == set()


def test_humidity_that_is_not_that_of_both_temperatures_is_suspected_with_them() -> None:
    # vapour is saturated at 23.4 hPa in 20 °C and at 11.7 hPa in 9.3 °C (Goff-Gratch, Smithsonian tables): 50 %
    check = "humidity_disagrees"
    assert blamed(**{AIR: 20.0, DEW: 9.3, HUMIDITY: 50.0}) == set()
    assert blamed(**{AIR: 20.0, DEW: 9.3, HUMIDITY: 64.0}) == set()
    assert blamed(**{AIR: 20.0, DEW: 9.3, HUMIDITY: 66.0}) == {(AIR, check), (DEW, check), (HUMIDITY, check)}
    assert blamed(**{AIR: 20.0, DEW: 9.3, HUMIDITY: 34.0}) == {(AIR, check), (DEW, check), (HUMIDITY, check)}


def test_one_that_is_doubted_already_explains_it_and_the_others_are_not_blamed() -> None:
    assert blamed((HUMIDITY,), **{AIR: 20.0, DEW: 9.3, HUMIDITY: 90.0}) == set()
    assert blamed((AIR,), **{AIR: 5.0, DEW: 9.3, HUMIDITY: 50.0}) == set()
    assert blamed((WIND,), **{WIND: 9.0, GUST: 3.0}) == set()


def test_a_doubt_of_another_group_explains_nothing() -> None:
    assert {name for name, _ in blamed((WIND,), **{AIR: 10.0, DEW: 12.0, WIND: 3.0})} == {AIR, DEW}


@pytest.mark.parametrize(("humidity", "disagrees"), [(50, True), (56, False), (68, False), (84, False), (100, False)])
def test_below_freezing_a_dew_point_may_be_a_frost_point(humidity: float, disagrees: bool) -> None:
    cold = np.array(
        [-40.0]
    )  # saturated over ice: 0.1285 of the 0.1891 hPa over water (Goff-Gratch, Smithsonian tables), 68 %
    assert humidity_disagrees(cold, cold, np.array([float(humidity)]))[0] == disagrees


def test_above_freezing_there_is_no_frost_point() -> None:
    # 15 and 0.5 °C: 17.04 and 6.33 hPa, 37 %
    assert humidity_disagrees(np.array([15.0]), np.array([0.5]), np.array([21.0]))[0]


def test_a_gust_below_the_wind_is_suspected_and_none_at_all_is_not() -> None:
    assert blamed(**{WIND: 9.0, GUST: 8.0}) == {(WIND, "gust_below_wind"), (GUST, "gust_below_wind")}
    assert blamed(**{WIND: 9.0, GUST: 8.5}) == set()
    assert blamed(**{WIND: 9.0, GUST: 0.0}) == set()


def test_missing_values_and_missing_variables_contradict_nothing() -> None:
    gap = math.nan
    assert blamed(**{AIR: gap, DEW: 9.0, HUMIDITY: 10.0, WIND: gap, GUST: 3.0}) == set()
    assert blamed(**{AIR: 10.0, HUMIDITY: 10.0, GUST: 3.0}) == set()


def test_each_hour_is_judged_by_itself() -> None:
    values = {AIR: np.array([10.0, 10.0, 10.0]), DEW: np.array([12.0, 2.0, 12.0])}
    flagged = {AIR: np.array([False, False, True])}
    assert {name: finding.fired.tolist() for name, finding in check_consistency(values, flagged)} == {
        AIR: [True, False, False],
        DEW: [True, False, False],
    }
