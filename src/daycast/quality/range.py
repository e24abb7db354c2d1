"""Checks of single values: against physical limits, the station's own climatology, and its neighbours.

Each check takes arrays of any one shape and returns a `Finding`. NaN means missing, and a missing value never fires.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from daycast.quality.flags import FAIL, SUSPECT, THE_HOUR_ITSELF, Finding, Floats
from daycast.quality.limits import Limits
from daycast.variables import Variable

LEAST_HOURS = 480  # 20 days: fewer say too little about what is usual
LEAST_NEIGHBOURS = 3  # with one or two, a single wrong neighbour could flag a good value
_LAPSE_RATE = {  # change with elevation, unit of the variable per metre
    "air_temperature_c": -0.0065,  # ICAO standard atmosphere
    "dew_point_c": -0.0045,  # mean of the months of Kunkel 1989, doi 10.1175/1520-0442(1989)002<0656:SPIFEO>2.0.CO;2
    "sea_level_pressure_hpa": 0.0,  # already reduced to sea level
    "altimeter_setting_hpa": 0.0,  # likewise
}


def check_limits(value: Floats, variable: Variable) -> Finding:
    """FAIL values outside valid_min to valid_max, infinite ones included. value: (…) in the variable's unit."""
    return Finding("gross_range", FAIL, (value < variable.valid_min) | (value > variable.valid_max), THE_HOUR_ITSELF)


def check_climatology(
    value: Floats, mean: Floats, deviation: Floats, count: NDArray[np.integer], limits: Limits
) -> Finding:
    """SUSPECT values more than `climatology_deviations` standard deviations from the mean of the station's past months.

    mean, deviation: shaped like value (…), NaN where unknown. count: how many hours they rest on. The check does not fire below
    LEAST_HOURS hours, nor where the deviation is 0.
    """
    if limits.climatology_deviations is None:
        return Finding("climatology", SUSPECT, np.zeros(value.shape, np.bool_), THE_HOUR_ITSELF)
    known = (count >= LEAST_HOURS) & (deviation > 0)
    unusual = np.abs(value - mean) > limits.climatology_deviations * deviation
    return Finding("climatology", SUSPECT, known & unusual, THE_HOUR_ITSELF)


def check_neighbours(value: Floats, neighbours: Iterable[Floats], limits: Limits) -> Finding:
    """SUSPECT values that differ by more than `neighbour_difference` from every neighbour, if LEAST_NEIGHBOURS report.

    neighbours: one array shaped like value (…) for each neighbour, reduced to this station's elevation, NaN where missing.
    """
    if limits.neighbour_difference is None:
        return Finding("neighbours", SUSPECT, np.zeros(value.shape, np.bool_), THE_HOUR_ITSELF)
    nearest = np.full(value.shape, np.nan)
    reporting = np.zeros(value.shape, np.int8)
    for other in neighbours:
        nearest = np.fmin(nearest, np.abs(value - other))
        reporting += ~np.isnan(other)
    far = (reporting >= LEAST_NEIGHBOURS) & (nearest > limits.neighbour_difference)
    return Finding("neighbours", SUSPECT, far, THE_HOUR_ITSELF)


def lapse_rate(variable: str) -> float | None:
    """How much a variable changes per metre of elevation, in its unit; None for variables not compared with neighbours.

    Wind, rain and humidity are too local to compare. Station pressure would need a barometric formula.
    """
    return _LAPSE_RATE.get(variable)
