"""Humidity, dew point and temperature, gust and wind: does one hour contradict itself, and which variable is flagged?"""

import math

import numpy as np
import pytest

from daycast.quality.consistency import check_consistency, humidity_disagrees, station_pressure
from daycast.quality.flags import SUSPECT

AIR, DEW, HUMIDITY = "air_temperature_c", "dew_point_c", "relative_humidity_pct"
WIND, GUST = "wind_speed_m_s", "wind_gust_m_s"


ALTIMETER, STATION, SEA_LEVEL = "altimeter_setting_hpa", "station_pressure_hpa", "sea_level_pressure_hpa"


def blamed(flagged: tuple[str, ...] = (), elevation_m: float = math.nan, **values: float) -> set[tuple[str, str]]:
    """Which variables of one hour are suspected, by which check."""
    hour = {name: np.array([value]) for name, value in values.items()}
    found = list(check_consistency(hour, {name: np.array([name in flagged]) for name in hour}, np.array([elevation_m])))
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


@pytest.mark.parametrize(
    ("altimeter", "elevation", "station"),
    # the pressure of the standard atmosphere at these heights: ICAO Doc 7488, table I
    [(1013.25, 0.0, 1013.25), (1013.25, 1000.0, 898.75), (1013.25, 2000.0, 794.95)],
)
def test_the_altimeter_setting_stands_for_a_pressure_at_the_station(altimeter, elevation, station) -> None:
    assert float(station_pressure(np.float64(altimeter), elevation)) == pytest.approx(station, abs=0.15)


def test_an_altimeter_setting_that_is_not_that_of_the_station_is_suspected_with_it() -> None:
    both = {(ALTIMETER, "altimeter_disagrees"), (STATION, "altimeter_disagrees")}
    denver = {"elevation_m": 1656.0, ALTIMETER: 1015.0}
    assert blamed(**denver, **{STATION: 830.0}) == set()  # 1013.25 hPa stands for 829.4 there
    assert blamed(**denver, **{STATION: 838.0}) == both
    assert blamed(**denver, **{STATION: 1015.0}) == both  # an altimeter setting mapped to both
    assert blamed(("altimeter_setting_hpa",), **denver, **{STATION: 838.0}) == set()
    assert blamed(**{ALTIMETER: 1015.0, STATION: 838.0}) == set()  # where the elevation is not known


def test_sea_level_pressure_may_differ_from_the_altimeter_setting_the_more_the_higher_the_station() -> None:
    both = {(ALTIMETER, "altimeter_disagrees"), (SEA_LEVEL, "altimeter_disagrees")}
    assert blamed(elevation_m=1656.0, **{ALTIMETER: 1015.0, SEA_LEVEL: 1033.0}) == set()
    assert blamed(elevation_m=10.0, **{ALTIMETER: 1015.0, SEA_LEVEL: 1033.0}) == both
    assert blamed(elevation_m=10.0, **{ALTIMETER: 1015.0, SEA_LEVEL: 1015.3}) == set()
