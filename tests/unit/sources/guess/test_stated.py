"""Units in the header of a file that the settings contradict, and words that only look like units."""

from collections.abc import Sequence

import pytest

from daycast.sources.guess.stated import doubt_units
from daycast.sources.tables.columns import ValueColumn
from daycast.variables import BUILT_IN

TEMPERATURE, RAIN, WIND, PRESSURE = (
    "air_temperature_c",
    "precipitation_mm",
    "wind_speed_m_s",
    "station_pressure_hpa",
)


def doubts(
    variable: str,
    column: str,
    header: Sequence[str] | None = None,
    below: Sequence[Sequence[str]] = (),
    **settings: str | float,
) -> list[str]:
    names = header or ["time", column]
    mapped = ValueColumn.model_validate({"column": column, **settings})
    return list(doubt_units({variable: (mapped, [column])}, BUILT_IN, names.index, names, below))


@pytest.mark.parametrize(
    ("variable", "column", "unit"),
    [
        (TEMPERATURE, "Temp (°F)", "°F"),
        (TEMPERATURE, "Outdoor Temperature(℉)", "°F"),
        (TEMPERATURE, "Temp, °F (S/N: 123456)", "°F"),
        (TEMPERATURE, "temp_f", "°F"),
        (TEMPERATURE, "tempf", "°F"),
        (WIND, "Wind (mph)", "mph"),
        (WIND, "wspd_kt", "kt"),
        (WIND, "windspeedmph", "mph"),
        (RAIN, "Rain (in)", "in"),
        (RAIN, "rain_in", "in"),
        (RAIN, "Rain, in", "in"),
        (PRESSURE, "Baro [inHg]", "inHg"),
        (PRESSURE, "Pressure (mm)", "mmHg"),
    ],
)
def test_a_unit_in_a_column_name_is_compared_with_the_one_it_is_read_in(variable: str, column: str, unit: str) -> None:
    (doubt,) = doubts(variable, column)
    own = BUILT_IN[variable].unit
    assert doubt.startswith(f"the header has column {column!r} in {unit}, and {variable} is read in {own}: ")
    assert doubt.endswith(f'set unit = "{unit}" on its column')
    assert doubts(variable, column, unit=unit) == []


def test_a_declared_unit_may_be_the_wrong_one_and_rates_keep_their_time() -> None:
    (doubt,) = doubts(TEMPERATURE, "Temp (°C)", unit="°F")
    assert 'set unit = "°C"' in doubt
    (rate,) = doubts(RAIN, "Rain (in/h)", cell_method="rate")
    assert 'read in mm/h: if the header is right, set unit = "in/h"' in rate
    assert doubts(RAIN, "Rain (in/h)", unit="in/h", cell_method="rate") == []


@pytest.mark.parametrize(
    ("variable", "column"),
    [
        (TEMPERATURE, "temp_in"),
        (TEMPERATURE, "Temp (m)"),
        (TEMPERATURE, "Temp s"),
        (TEMPERATURE, "f"),
        (RAIN, "Rain in"),
        (RAIN, "Rain (0.2 in)"),
        (RAIN, "rain 100 cm"),
        (PRESSURE, "pressure_in"),
        (PRESSURE, "p (mbar)"),
        (RAIN, "rain (l/m²)"),
        (WIND, "ws_ms"),
        (WIND, "speed_10m"),
        ("wind_from_deg", "dir (deg)"),
    ],
)
def test_other_words_and_other_names_of_the_same_unit_are_left_alone(variable: str, column: str) -> None:
    assert doubts(variable, column) == []


def test_lettered_columns_and_numbers_that_are_multiplied_are_left_alone() -> None:
    assert doubts(TEMPERATURE, "temp_f", ["time", "temp_a", "temp_b", "temp_f"]) == []
    assert doubts(TEMPERATURE, "Temp (°F)", factor=5 / 9, offset=-17.8) == []


def test_a_line_of_units_counts_and_a_line_of_letters_may_be_types() -> None:
    header = ["time", "t", "h"]
    (doubt,) = doubts(TEMPERATURE, "t", header, [["", "°F", "%"]])
    assert "column 't' in °F" in doubt
    (other,) = doubts(TEMPERATURE, "t", header, [["", "Smp", "Avg"], ["TS", "(F)", "%"]])
    assert "column 't' in °F" in other
    assert doubts(TEMPERATURE, "t", header, [["C", "F", "F"]]) == []
    assert doubts(TEMPERATURE, "t", header, [["°F", "%"]]) == []  # of which columns?
    assert doubts(TEMPERATURE, "t", header, [["", "°C", "%"]]) == []
