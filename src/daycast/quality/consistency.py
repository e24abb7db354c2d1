"""Consistency checks: do the variables of one station and hour agree with each other?

Dew point against air temperature, humidity against both, gust against mean wind; and where the station's elevation is known,
altimeter setting against the pressure at the station and at sea level.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from daycast.quality.flags import SUSPECT, THE_HOUR_ITSELF, Bools, Finding, Floats

# °C; a humidity sensor that reads 104 % in fog gives a dew point 0.6 °C above the air
DEW_POINT_TOLERANCE_C = 0.6
# %; half a degree of rounding in both temperatures makes up to 7 % near saturation, the sensors' own errors as much again
HUMIDITY_TOLERANCE_PCT = 15.0
# m/s; the gust in whole knots, the wind in tenths
GUST_TOLERANCE_M_S = 0.6

# hPa; three values in hundredths of an inch of mercury, and a barometer 20 m above or below the station's elevation
ALTIMETER_TOLERANCE_HPA = 3.0
# hPa a metre of elevation; air 35 °C warmer or colder than the standard atmosphere moves sea-level pressure by 14 hPa a kilometre
SEA_LEVEL_TOLERANCE_HPA_M = 0.015

_ALTIMETER, _STATION, _SEA_LEVEL = "altimeter_setting_hpa", "station_pressure_hpa", "sea_level_pressure_hpa"
_AIR, _DEW, _HUMIDITY = "air_temperature_c", "dew_point_c", "relative_humidity_pct"
_WIND, _GUST = "wind_speed_m_s", "wind_gust_m_s"


def check_consistency(
    values: Mapping[str, Floats], flagged: Mapping[str, Bools], elevation_m: Floats | float = np.nan
) -> Iterator[tuple[str, Finding]]:
    """Yield (variable, finding) pairs: every variable of a group that contradicts itself is SUSPECT.

    values: arrays of one shape by variable name, in the variable's unit, NaN where missing. flagged: by variable name, where
    another check has already found fault. elevation_m: of the stations, in the same shape or one for all, NaN where unknown.
    A group with a missing variable is skipped. The check cannot tell which variable is wrong, so it flags all of them, except
    where one is already `flagged`: that one explains the contradiction.
    """
    for check, group, contradicts in (
        ("dew_point_above_air", (_AIR, _DEW), dew_point_above_air),
        ("humidity_disagrees", (_AIR, _DEW, _HUMIDITY), humidity_disagrees),
        ("gust_below_wind", (_WIND, _GUST), gust_below_wind),
        ("altimeter_disagrees", (_ALTIMETER, _STATION), partial(altimeter_disagrees, elevation_m=elevation_m)),
        ("altimeter_disagrees", (_ALTIMETER, _SEA_LEVEL), partial(sea_level_disagrees, elevation_m=elevation_m)),
    ):
        if all(name in values for name in group):
            fired = contradicts(*(values[name] for name in group))
            for name in group:
                fired &= ~flagged.get(name, np.zeros(fired.shape, np.bool_))
            for name in group:
                yield name, Finding(check, SUSPECT, fired, THE_HOUR_ITSELF)


def dew_point_above_air(air_c: Floats, dew_c: Floats) -> Bools:
    """Whether the dew point [°C] is above the air temperature [°C] by more than the tolerance: physically impossible."""
    return dew_c - air_c > DEW_POINT_TOLERANCE_C


def humidity_disagrees(air_c: Floats, dew_c: Floats, humidity_pct: Floats) -> Bools:
    """Whether the relative humidity [%] differs from the one computed from air temperature and dew point [°C].

    Below freezing, some networks report frost points or humidity over ice. Every such convention lies between two extremes (dew
    point, and frost point, each with humidity over water), so the value must disagree with both.
    """
    of_dew = 100 * _saturation(dew_c) / _saturation(air_c)
    disagrees = np.abs(humidity_pct - of_dew) > HUMIDITY_TOLERANCE_PCT
    places = np.nonzero(disagrees & (humidity_pct < of_dew) & (dew_c < 0))
    of_frost = 100 * _saturation_over_ice(dew_c[places]) / _saturation(air_c[places])
    disagrees[places] = of_frost - humidity_pct[places] > HUMIDITY_TOLERANCE_PCT
    return disagrees


def gust_below_wind(wind_m_s: Floats, gust_m_s: Floats) -> Bools:
    """Whether the gust [m/s] is below the mean wind [m/s]. A gust of 0 is ignored: some networks write it for "no gust"."""
    return (gust_m_s > 0) & (wind_m_s - gust_m_s > GUST_TOLERANCE_M_S)


def altimeter_disagrees(altimeter_hpa: Floats, station_hpa: Floats, elevation_m: Floats | float) -> Bools:
    """Whether the pressure at the station [hPa] is not the one that the altimeter setting [hPa] stands for there."""
    return np.abs(station_pressure(altimeter_hpa, elevation_m) - station_hpa) > ALTIMETER_TOLERANCE_HPA


def sea_level_disagrees(altimeter_hpa: Floats, sea_level_hpa: Floats, elevation_m: Floats | float) -> Bools:
    """Whether altimeter setting and sea-level pressure [hPa] differ by more than air of any temperature below the station makes.

    The former is reduced by the standard atmosphere, the latter by the temperature measured: at sea level they are equal.
    """
    return np.abs(altimeter_hpa - sea_level_hpa) > ALTIMETER_TOLERANCE_HPA + SEA_LEVEL_TOLERANCE_HPA_M * np.abs(
        elevation_m
    )


def station_pressure(altimeter_hpa: Floats, elevation_m: Floats | float) -> Floats:
    """The pressure at a station [hPa] of this elevation [m] that an altimeter setting (QNH) [hPa] stands for.

    By the ICAO standard atmosphere, as the US National Weather Service has it: station pressure = altimeter setting *
    ((288 - 0.0065 * elevation) / 288) ** 5.2561, https://www.weather.gov/media/epz/wxcalc/stationPressure.pdf; see also
    WMO-No. 8, Guide to Instruments and Methods of Observation, volume I, chapter 3, on QNH.
    """
    return altimeter_hpa * ((288 - 0.0065 * elevation_m) / 288) ** 5.2561


def _saturation(celsius: Floats) -> Floats:
    """Saturation vapour pressure [hPa] over water.

    Magnus form, Alduchov & Eskridge 1996, equation 21, doi 10.1175/1520-0450(1996)035<0601:IMFAOS>2.0.CO;2.
    """
    return 6.1094 * np.exp(17.625 * celsius / (243.04 + celsius))


def _saturation_over_ice(celsius: Floats) -> Floats:
    """Saturation vapour pressure [hPa] over ice: the same paper, equation 23."""
    return 6.1121 * np.exp(22.587 * celsius / (273.86 + celsius))
