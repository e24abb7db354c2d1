"""What Open-Meteo offers (its interfaces, variables and units), and the places that it is asked for: each is a station.

Facts from https://open-meteo.com/en/docs and https://open-meteo.com/en/docs/historical-weather-api
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from daycast.errors import SourceError
from daycast.stations import STATION_SCHEMA
from daycast.times import DAY


@dataclass(frozen=True)
class Interface:
    """One of its addresses, how far back it answers, and how close to now."""

    url: str
    reporting_delay: timedelta
    history: timedelta  # asked for if no start is configured
    keeps: timedelta | None  # how far back it answers; None: since 1940


INTERFACES = {
    "archive": Interface(
        url="https://archive-api.open-meteo.com/v1/archive",
        reporting_delay=5 * DAY,  # the delay of the reanalysis ERA5
        history=730 * DAY,
        keeps=None,
    ),
    "forecast": Interface(
        url="https://api.open-meteo.com/v1/forecast",
        reporting_delay=timedelta(0),  # a value exists before its hour; later model runs correct it
        history=90 * DAY,
        keeps=90 * DAY,  # 92 days are documented; two are a margin, because its days may begin at another hour
    ),
}
DEFAULT_COLUMNS: Mapping[str, str] = {
    "air_temperature_c": "temperature_2m",
    "dew_point_c": "dew_point_2m",
    "relative_humidity_pct": "relative_humidity_2m",
    "sea_level_pressure_hpa": "pressure_msl",
    "station_pressure_hpa": "surface_pressure",
    "wind_speed_m_s": "wind_speed_10m",
    "wind_from_deg": "wind_direction_10m",
    "wind_gust_m_s": "wind_gusts_10m",  # maximum of the hour that ends then
    "precipitation_mm": "precipitation",  # sum of the hour that ends then, like ours
}
FORMAT_PARAMS: Mapping[str, str] = {
    "timezone": "GMT",
    "timeformat": "unixtime",
    "temperature_unit": "celsius",
    "wind_speed_unit": "ms",
    "precipitation_unit": "mm",
}


class Place(BaseModel):
    """A station and its position."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]
    latitude: Annotated[float, Field(ge=-90, le=90)]  # degrees north
    longitude: Annotated[float, Field(ge=-180, le=180)]  # degrees east
    elevation_m: Annotated[float | None, Field(ge=-9000, le=9000)] = None  # metres; None: the service's terrain
    name: str | None = None


def places_of(stations: pl.DataFrame, origin: str) -> tuple[Place, ...]:
    """The places of a station list (STATION_SCHEMA). Raises SourceError naming `origin` and a station without a position."""
    unplaced = stations.filter(pl.any_horizontal(pl.col("latitude", "longitude").is_null()))
    if not unplaced.is_empty():
        raise SourceError(
            f"{origin}: station {unplaced['station_id'][0]!r} has no position, which Open-Meteo needs; "
            "give it latitude and longitude"
        )
    return tuple(Place(**row) for row in stations.rename({"station_id": "id"}).to_dicts())


def stations_of(places: Sequence[Place]) -> pl.DataFrame:
    """The station list (STATION_SCHEMA) of places."""
    rows = [place.model_dump() for place in places]
    return (
        pl.DataFrame(rows, schema={"id": pl.String, **STATION_SCHEMA}).with_columns(station_id=pl.col("id")).drop("id")
    )


def groups_of(places: Sequence[Place], max_places: int) -> Iterator[tuple[Place, ...]]:
    """Groups of at most `max_places` places for one request each.

    In a group either all places have an elevation or none, because a request gives all or none.
    """
    for with_elevation in (True, False):
        alike = [place for place in places if (place.elevation_m is not None) == with_elevation]
        for first in range(0, len(alike), max_places):
            yield tuple(alike[first : first + max_places])


def position_params(places: Sequence[Place]) -> dict[str, str]:
    """The query parameters for the positions: a list each, in the order of `places`, to 6 decimals of a degree and 0.1 m."""
    params = {
        "latitude": ",".join(f"{place.latitude:.6f}" for place in places),
        "longitude": ",".join(f"{place.longitude:.6f}" for place in places),
    }
    elevations = [place.elevation_m for place in places if place.elevation_m is not None]
    if elevations:
        params["elevation"] = ",".join(f"{elevation:.1f}" for elevation in elevations)
    return params
