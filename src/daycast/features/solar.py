"""The position of the sun, which is known for every future hour: declination, hour angle, and the mean solar time of stations."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from daycast.features.panel import Panel
from daycast.times import HOUR


@dataclass(frozen=True)
class SunTable:
    """The sun at each hour; with a latitude and longitude its elevation follows. All (T,) float32."""

    declination: np.ndarray  # radians
    hour_angle: np.ndarray  # radians at longitude 0; add the longitude
    year_angle: np.ndarray  # radians, 0 at the start of 1 January


def make_sun_table(start: datetime, hours: int) -> SunTable:
    """The sun at `hours` hours from `start` on, which is in UTC.

    Declination and equation of time: Spencer (1971), Search 2(5), 172. They are within 0.4° and 0.75 minutes, because the
    calendar drifts against the sun by up to half a day between leap years.
    """
    times = np.datetime64(start.replace(tzinfo=None), "s") + np.arange(hours) * np.timedelta64(
        int(HOUR.total_seconds()), "s"
    )
    year = times.astype("datetime64[Y]")
    length = ((year + 1).astype("datetime64[s]") - year.astype("datetime64[s]")).astype(np.float64)
    angle = 2 * np.pi * (times - year.astype("datetime64[s]")).astype(np.float64) / length
    hour_of_day = (times - times.astype("datetime64[D]")).astype("timedelta64[s]").astype(np.float64) / 3600
    hour_angle = 2 * np.pi * (hour_of_day - 12) / 24 + _equation_of_time(angle)
    return SunTable(*(part.astype(np.float32) for part in (_declination(angle), hour_angle, angle)))


def solar_hours(panel: Panel, stations: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """The hour of the day in mean solar time, 0 to 23, at these stations (rows) and hours (indices) of a panel. All (N,)

    Where the longitude is unknown it is the hour in UTC.
    """
    east = np.nan_to_num(panel.stations["longitude"].to_numpy().astype(np.float64)) / 15  # hours ahead of UTC
    return np.floor(panel.start.hour + hours + east[stations] + 0.5).astype(np.int64) % 24


def _declination(g: np.ndarray) -> np.ndarray:
    """Declination in radians; g: year angle in radians."""
    return (
        0.006918
        - 0.399912 * np.cos(g)
        + 0.070257 * np.sin(g)
        - 0.006758 * np.cos(2 * g)
        + 0.000907 * np.sin(2 * g)
        - 0.002697 * np.cos(3 * g)
        + 0.00148 * np.sin(3 * g)
    )


def _equation_of_time(g: np.ndarray) -> np.ndarray:
    """Apparent minus mean solar time, in radians; g: year angle in radians."""
    return 0.000075 + 0.001868 * np.cos(g) - 0.032077 * np.sin(g) - 0.014615 * np.cos(2 * g) - 0.040849 * np.sin(2 * g)
