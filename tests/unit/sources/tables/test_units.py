import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daycast.errors import ConfigError
from daycast.sources.tables.units import UNITS, compass_to_degrees, says_no_direction, unit_of
from daycast.variables import BUILT_IN, Variable


def convert(value: float, unit: str, variable: str) -> float:
    to = unit_of(BUILT_IN[variable], unit)
    return pl.DataFrame({"x": [value]}).select(to.to_daycast(pl.col("x"))).item()


@pytest.mark.parametrize(
    ("value", "unit", "variable", "expected"),
    [
        (212.0, "°F", "air_temperature_c", 100.0),
        (-40.0, "F", "air_temperature_c", -40.0),
        (273.15, "K", "dew_point_c", 0.0),
        (21.5, "degC", "air_temperature_c", 21.5),
        (29.92, "inHg", "sea_level_pressure_hpa", 1013.2075888),  # 29.92 × 33.86389
        (760.0, "mmHg", "station_pressure_hpa", 1013.25024),  # 760 × 1.333224
        (101.325, "kPa", "station_pressure_hpa", 1013.25),
        (101325.0, "Pa", "station_pressure_hpa", 1013.25),
        (1013.25, "mbar", "station_pressure_hpa", 1013.25),
        (36.0, "km/h", "wind_speed_m_s", 10.0),
        (18.0, "kt", "wind_speed_m_s", 9.26),  # 18 × 1852 m in an hour: 33336 m / 3600 s
        (100.0, "mph", "wind_speed_m_s", 44.704),
        (0.5, "in", "precipitation_mm", 12.7),
        (1.2, "cm", "precipitation_mm", 12.0),
        (55.0, "%", "relative_humidity_pct", 55.0),
        (270.0, "deg", "wind_from_deg", 270.0),
    ],
)
def test_a_unit_converts_as_by_hand(value, unit, variable, expected):
    assert convert(value, unit, variable) == pytest.approx(expected, abs=1e-9)


@given(st.floats(-90, 60))
def test_celsius_written_as_fahrenheit_or_kelvin_comes_back(celsius):
    assert math.isclose(convert(celsius * 9 / 5 + 32, "°F", "air_temperature_c"), celsius, abs_tol=1e-9)
    assert math.isclose(convert(celsius + 273.15, "K", "air_temperature_c"), celsius, abs_tol=1e-9)


@given(st.floats(0, 120))
def test_metres_a_second_written_in_any_unit_of_speed_come_back(speed):
    for unit, per_metre_a_second in {"km/h": 3.6, "kt": 3600 / 1852, "mph": 3600 / 1609.344}.items():
        assert math.isclose(convert(speed * per_metre_a_second, unit, "wind_speed_m_s"), speed, abs_tol=1e-9)


def test_every_built_in_variable_is_in_a_unit_that_needs_no_conversion():
    for variable in BUILT_IN.values():
        assert (UNITS[variable.unit].factor, UNITS[variable.unit].zero) == (1.0, 0.0)


def test_a_unit_of_another_quantity_is_refused_with_the_possible_ones():
    with pytest.raises(ConfigError, match=r"'hPa' of air_temperature_c: possible are °C, C, degC, °F, F, degF, K"):
        unit_of(BUILT_IN["air_temperature_c"], "hPa")


def test_an_unknown_unit_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean 'km/h'"):
        unit_of(BUILT_IN["wind_speed_m_s"], "kmh")


def test_compass_is_no_unit_of_a_temperature():
    with pytest.raises(ConfigError, match="'compass'"):
        unit_of(BUILT_IN["air_temperature_c"], "compass")


@pytest.mark.parametrize(
    ("own", "given", "value", "converted"),
    [("°C", "°F", 212.0, 100.0), ("°F", "°C", 100.0, 212.0), ("°F", "K", 273.15, 32.0), ("kPa", "hPa", 1013.0, 101.3),
     ("km/h", "m/s", 10.0, 36.0), ("in", "mm", 25.4, 1.0), ("W/m²", "kW/m²", 0.5, 500.0), ("cm", "in", 1.0, 2.54)],
)  # fmt: skip
def test_a_declared_variable_is_converted_to_its_own_unit(own, given, value, converted):
    declared = Variable("declared", "declared", own, -1e9, 1e9)
    assert pl.select(unit_of(declared, given).to_daycast(pl.lit(value))).item() == pytest.approx(converted)


def test_points_of_the_compass_are_for_declared_directions_alone():
    slope = Variable("slope_deg", "slope", "°", 0.0, 90.0)
    with pytest.raises(ConfigError, match=r"'compass' of slope_deg: possible are °, deg$"):
        unit_of(slope, "compass")
    assert unit_of(Variable("waves_from_deg", "waves", "°", 0.0, 360.0, circular=True), "compass").factor == 1.0


def test_a_declared_difference_is_taken_in_its_own_unit_and_no_other():
    slope = Variable("leaf_wetness_k", "difference to the air", "K", -10.0, 10.0)
    unit = unit_of(slope, "K")
    assert pl.select(unit.to_daycast(pl.lit(3.0))).item() == 3.0
    with pytest.raises(ConfigError, match=r"'°C' of leaf_wetness_k: possible are K$"):
        unit_of(slope, "°C")


@pytest.mark.parametrize(
    ("point", "degrees"),
    [("N", 0), ("NNE", 22.5), ("ne", 45), ("E", 90), ("SSE", 157.5), ("S", 180), ("wsw", 247.5), ("W", 270),
     ("NNW", 337.5), ("NbE", 11.25), ("SWbW", 236.25)],
)  # fmt: skip
def test_a_point_of_the_compass_is_its_degrees_clockwise_from_north(point, degrees):
    assert pl.select(compass_to_degrees(pl.lit(point))).item() == degrees


def test_words_for_calm_are_no_direction_and_other_words_are_nothing():
    words = pl.DataFrame({"x": ["Calm", "vrb", "C", "up", None]})
    found = words.select(degrees=compass_to_degrees(pl.col("x")), calm=says_no_direction(pl.col("x")))
    assert found["degrees"].to_list() == [None] * 5
    assert found["calm"].to_list() == [True, True, True, False, None]
