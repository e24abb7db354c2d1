"""The Things of a SensorThings service: what each is called, where it stands and which Datastreams it has."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from daycast.errors import SourceError
from daycast.sources.http.client import Client
from daycast.sources.things.pages import entity_url, read_collection
from daycast.sources.things.point import Point, read_point
from daycast.stations import STATION_SCHEMA


def _validate_station(path: str) -> str:
    """Return the path if a Thing can have it; raise ValueError if not."""
    if not re.fullmatch(r"name|@iot\.id|properties(/[^/]+)+", path):
        raise ValueError(f"{path!r} is nothing a Thing has: write 'name', '@iot.id' or for example 'properties/code'")
    return path


StationPath = Annotated[str, AfterValidator(_validate_station)]


class _Entity(BaseModel):
    """What is read of an entity; servers add more, which is why unknown keys are let pass."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Unit(_Entity):
    """The unit that a Datastream declares."""

    symbol: str | None = None


class ObservedProperty(_Entity):
    """What a Datastream observes."""

    name: str


class Datastream(_Entity):
    """One series of Observations."""

    id: int | str = Field(alias="@iot.id")
    name: str = ""
    unit: Unit | None = Field(default=None, alias="unitOfMeasurement")
    observed_property: ObservedProperty | None = Field(default=None, alias="ObservedProperty")

    def __str__(self) -> str:
        return f"Datastream {self.id} {self.name!r}"


class Location(_Entity):
    """A place, in GeoJSON if `location` is an object."""

    location: Any = None


class Thing(_Entity):
    """One Thing with its Locations and Datastreams."""

    id: int | str = Field(alias="@iot.id")
    name: str = ""
    properties: dict[str, Any] | None = None
    locations: tuple[Location, ...] = Field(default=(), alias="Locations")
    datastreams: tuple[Datastream, ...] = Field(default=(), alias="Datastreams")
    more_datastreams: str | None = Field(default=None, alias="Datastreams@iot.nextLink")

    def __str__(self) -> str:
        return f"Thing {self.id} {self.name!r}"

    def station_id(self, path: str) -> str | None:
        """What stands at `path` (a StationPath), as text; None where there is neither text nor a whole number."""
        if path in {"name", "@iot.id"}:
            return str(self.name if path == "name" else self.id) or None
        value: Any = {"properties": self.properties}
        for key in path.split("/"):
            value = value.get(key) if isinstance(value, dict) else None
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None

    def position(self) -> Point:
        """Longitude and latitude [degrees] and elevation [m] of the first Location that is a point; None where unknown."""
        points = (read_point(location.location) for location in self.locations)
        return next((point for point in points if point), Point())


def fetch_things(client: Client, root: str, things_filter: str | None) -> list[Thing]:
    """All Things of the service at `root` that pass the OData filter, each with all its Datastreams.

    Raises SourceError where there is none, or where the answer holds what is no Thing.
    """
    params = {"$expand": "Locations,Datastreams/ObservedProperty"} | (
        {"$filter": things_filter} if things_filter else {}
    )
    pages = read_collection(client, f"{root}/Things", params)
    things = [_with_all_datastreams(client, root, _thing(entity, root)) for page in pages for entity in page]
    if not things:
        passing = f" passes things_filter = {things_filter!r}" if things_filter else " is there"
        raise SourceError(f"{root}: no Thing{passing}")
    return things


def name_stations(things: Iterable[Thing], path: str) -> tuple[dict[str, Thing], list[str]]:
    """The Things by station_id, and a line for each that has none at `path` or shares it with another."""
    by_station: dict[str, list[Thing]] = {}
    errors = []
    for thing in things:
        station_id = thing.station_id(path)
        if station_id is None:
            errors.append(f"{thing} has no {path} to be its station_id: set station, for example to '@iot.id'")
        else:
            by_station.setdefault(station_id, []).append(thing)
    for station_id, sharing in by_station.items():
        if sharing[1:]:
            both = f"Things {sharing[0].id} and {sharing[1].id}"
            errors.append(
                f"{both} are both station {station_id!r}: set station to what tells them apart, such as '@iot.id'"
            )
    return {station_id: sharing[0] for station_id, sharing in by_station.items() if not sharing[1:]}, errors


def station_list(things: Mapping[str, Thing]) -> pl.DataFrame:
    """STATION_SCHEMA of the Things by station."""
    positions = [thing.position() for thing in things.values()]
    return pl.DataFrame(
        {
            "station_id": list(things),
            "name": [thing.name for thing in things.values()],
            "latitude": [position.latitude for position in positions],
            "longitude": [position.longitude for position in positions],
            "elevation_m": [position.elevation_m for position in positions],
        },
        schema=STATION_SCHEMA,
    )


def _thing(entity: Mapping[str, Any], root: str) -> Thing:
    try:
        return Thing.model_validate(entity)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SourceError(f"{root}/Things: {where} of {entity.get('@iot.id')!r}: {first['msg']}") from None


def _with_all_datastreams(client: Client, root: str, thing: Thing) -> Thing:
    """The Thing, its Datastreams asked for on their own where the server did not list them all."""
    if thing.more_datastreams is None:
        return thing
    url = entity_url(root, "Things", thing.id, "Datastreams")
    pages = read_collection(client, url, {"$expand": "ObservedProperty"})
    entity = {"@iot.id": thing.id, "Datastreams": [entity for page in pages for entity in page]}
    return thing.model_copy(update={"datastreams": _thing(entity, root).datastreams, "more_datastreams": None})
