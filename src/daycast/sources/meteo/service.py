"""What is known of Open-Meteo: where its interfaces are, what they hold, and how it names and writes things.

Facts from https://open-meteo.com/en/docs and https://open-meteo.com/en/docs/historical-weather-api
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from daycast.times import DAY


@dataclass(frozen=True)
class Interface:
    """One of its addresses, and how far back and how close to now it answers."""

    url: str
    reporting_delay: timedelta
    history: timedelta  # asked for where nothing is configured
    keeps: timedelta | None  # nothing older can be asked for; None: since 1940


INTERFACES = {
    "archive": Interface(
        url="https://archive-api.open-meteo.com/v1/archive",
        reporting_delay=5 * DAY,  # how far the reanalysis ERA5 lies behind
        history=730 * DAY,
        keeps=None,
    ),
    "forecast": Interface(
        url="https://api.open-meteo.com/v1/forecast",
        reporting_delay=timedelta(0),  # the value of an hour is there before the hour is; later model runs correct it
        history=90 * DAY,
        keeps=90 * DAY,  # 92 days are documented; two are left as a margin for where its days begin
    ),
}
USUAL_COLUMNS: Mapping[str, str] = {
    "air_temperature_c": "temperature_2m",
    "dew_point_c": "dew_point_2m",
    "relative_humidity_pct": "relative_humidity_2m",
    "sea_level_pressure_hpa": "pressure_msl",
    "station_pressure_hpa": "surface_pressure",
    "wind_speed_m_s": "wind_speed_10m",
    "wind_from_deg": "wind_direction_10m",
    "wind_gust_m_s": "wind_gusts_10m",  # the highest of the hour ending there
    "precipitation_mm": "precipitation",  # the sum of the hour ending there, as ours
}
HOW_TO_WRITE: Mapping[str, str] = {
    "timezone": "GMT",
    "timeformat": "unixtime",
    "temperature_unit": "celsius",
    "wind_speed_unit": "ms",
    "precipitation_unit": "mm",
}
