"""Every check, pure: arrays in, findings out. Those of one value alone stand here, the others in files of their own."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from daycast.quality.flags import FAIL, SUSPECT, THE_HOUR_ITSELF, Finding, Floats
from daycast.quality.limits import Limits
from daycast.variables import Variable

LEAST_HOURS = 480  # 20 days: fewer tell too little of what is usual
LEAST_NEIGHBOURS = 3  # of one or two, one wrong neighbour could accuse
_LAPSE = {
    "air_temperature_c": -0.0065,  # ICAO standard atmosphere
    "dew_point_c": -0.0045,  # the mean of the months of Kunkel 1989, doi 10.1175/1520-0442(1989)002<0656:SPIFEO>2.0.CO;2
    "sea_level_pressure_hpa": 0.0,  # reduced already
}


def check_limits(value: Floats, variable: Variable) -> Finding:
    """FAIL what lies beyond the limits of the glossary, or is infinite; missing values pass. value: (…)"""
    return Finding("gross_range", FAIL, (value < variable.valid_min) | (value > variable.valid_max), THE_HOUR_ITSELF)


def check_climatology(
    value: Floats, mean: Floats, deviation: Floats, count: NDArray[np.integer], limits: Limits
) -> Finding:
    """SUSPECT what is too many standard deviations from the mean of the station's own past months.

    mean, deviation, count (hours they rest on): like value (…), NaN where there are none; silent below LEAST_HOURS hours,
    and where nothing ever varied.
    """
    if limits.climatology_deviations is None:
        return Finding("climatology", SUSPECT, np.zeros(value.shape, np.bool_), THE_HOUR_ITSELF)
    known = (count >= LEAST_HOURS) & (deviation > 0)
    unusual = np.abs(value - mean) > limits.climatology_deviations * deviation
    return Finding("climatology", SUSPECT, known & unusual, THE_HOUR_ITSELF)


def check_neighbours(value: Floats, neighbours: Iterable[Floats], limits: Limits) -> Finding:
    """SUSPECT what is far from every neighbour, where at least LEAST_NEIGHBOURS report.

    neighbours: one array like value (…) each, brought to the elevation of this station, NaN where missing.
    """
    if limits.neighbour_difference is None:
        return Finding("neighbours", SUSPECT, np.zeros(value.shape, np.bool_), THE_HOUR_ITSELF)
    nearest = np.full(value.shape, np.nan)
    reporting = np.zeros(value.shape, np.int8)
    for other in neighbours:
        nearest = np.fmin(nearest, np.abs(value - other))
        reporting += ~np.isnan(other)
    apart = (reporting >= LEAST_NEIGHBOURS) & (nearest > limits.neighbour_difference)
    return Finding("neighbours", SUSPECT, apart, THE_HOUR_ITSELF)


def lapse(variable: str) -> float | None:
    """How much a variable changes with each metre of elevation, in its unit; None where neighbours tell nothing of it.

    Wind and rain are of the place, humidity of the valley, and pressure at the station would ask for a barometric formula.
    """
    return _LAPSE.get(variable)
