"""The places that Open-Meteo is asked about: each is a station."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from daycast.errors import SourceError
from daycast.stations import STATION_SCHEMA


class Place(BaseModel):
    """A station and where it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]
    latitude: Annotated[float, Field(ge=-90, le=90)]  # degrees north
    longitude: Annotated[float, Field(ge=-180, le=180)]  # degrees east
    elevation_m: Annotated[float | None, Field(ge=-9000, le=9000)] = None  # metres; None: that of the service's terrain
    name: str | None = None


def places_of(stations: pl.DataFrame, origin: str) -> tuple[Place, ...]:
    """The places of a station list (STATION_SCHEMA). Raises SourceError naming `origin` and a station without a position."""
    unplaced = stations.filter(pl.any_horizontal(pl.col("latitude", "longitude").is_null()))
    if not unplaced.is_empty():
        raise SourceError(
            f"{origin}: station {unplaced['station_id'][0]!r} has no position, which Open-Meteo is asked by; "
            "give it latitude and longitude"
        )
    return tuple(Place(**row) for row in stations.rename({"station_id": "id"}).to_dicts())


def stations_of(places: Sequence[Place]) -> pl.DataFrame:
    """The station list (STATION_SCHEMA) of places."""
    rows = [place.model_dump() for place in places]
    return (
        pl.DataFrame(rows, schema={"id": pl.String, **STATION_SCHEMA}).with_columns(station_id=pl.col("id")).drop("id")
    )


def groups_of(places: Sequence[Place], most: int) -> Iterator[tuple[Place, ...]]:
    """Places to ask for at once, at most `most`; either all of them have an elevation or none, as a request gives all or none."""
    for with_elevation in (True, False):
        alike = [place for place in places if (place.elevation_m is not None) == with_elevation]
        for first in range(0, len(alike), most):
            yield tuple(alike[first : first + most])


def position_params(places: Sequence[Place]) -> dict[str, str]:
    """The query parameters that say where: a list each, in the order of `places`; positions to 0.1 m, elevations to 0.1 m."""
    params = {
        "latitude": ",".join(f"{place.latitude:.6f}" for place in places),
        "longitude": ",".join(f"{place.longitude:.6f}" for place in places),
    }
    elevations = [place.elevation_m for place in places if place.elevation_m is not None]
    if elevations:
        params["elevation"] = ",".join(f"{elevation:.1f}" for elevation in elevations)
    return params
