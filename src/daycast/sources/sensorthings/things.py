"""The Things of a SensorThings service: what each is called, where it stands, and which Datastreams it has.

Requests and responses: OGC SensorThings API Part 1: Sensing, version 1.1, https://docs.ogc.org/is/18-088/18-088.html
Positions are GeoJSON points: RFC 7946, https://www.rfc-editor.org/rfc/rfc7946

Order: collections, page by page along `@iot.nextLink`; points; the entities; `fetch_things`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from daycast.errors import SourceError
from daycast.sources.http.client import Client
from daycast.stations import STATION_SCHEMA

MAX_PAGES = 10_000  # of one collection; a longer one never ends

Entity = Mapping[str, Any]


def read_collection(
    client: Client, url: str, params: Mapping[str, str] | None = None, max_pages: int = MAX_PAGES
) -> Iterator[list[Entity]]:
    """Yield the entities of each page of the collection at `url`; only GETs are sent, and only to the host of `url`.

    A next link to the same collection below another service root, as servers behind a proxy write it, is followed at the
    root of `url`. Raises SourceError for a response that is no page, a next link that leads to anything else on another host
    or back to an earlier page, a page that repeats the one before, and a collection of more than `max_pages` pages.
    """
    link: str | None = url
    visited, previous = {url}, None
    for _ in range(max_pages):
        page = client.get_json(link or url, params)
        entities = _entities(page, url)
        if entities and entities == previous:
            raise SourceError(f"{url}: the server sends the same page over and over, so it cannot be read to its end")
        yield entities
        link, params, previous = _next_link(page, link or url, url), None, entities
        if link is None:
            return
        if link in visited:
            raise SourceError(
                f"{url}: its pages lead in a circle, back to {_shown(link)}; report it to the server's owner"
            )
        visited.add(link)
    raise SourceError(f"{url}: has more than {max_pages:,} pages; ask for less with things_filter or a shorter piece")


def entity_url(root: str, collection: str, entity_id: int | str, of: str) -> str:
    """The address of the collection `of` that belongs to one entity; ids that are text are quoted, as OData wants."""
    key = str(entity_id) if isinstance(entity_id, int) else "'" + entity_id.replace("'", "''") + "'"
    quoted = quote(key, safe="'")
    return f"{root}/{collection}({quoted})/{of}"


def _entities(page: Any, url: str) -> list[Entity]:
    entities = page.get("value") if isinstance(page, dict) else None
    if not isinstance(entities, list) or not all(isinstance(entity, dict) for entity in entities):
        raise SourceError(
            f"{url}: answers without a list called 'value', so it is not a SensorThings collection; check url"
        )
    return entities


def _next_link(page: Entity, url: str, collection: str) -> str | None:
    """The absolute address of the page after the one at `url`, on the host of `collection`; None on the last page."""
    given = page.get("@iot.nextLink")
    if given is None:
        return None
    try:
        link = urljoin(url, str(given))
        is_ours = _host(link) == _host(url)
    except ValueError as error:
        raise SourceError(f"{_shown(url)}: its next page has an invalid address ({error})") from None
    if is_ours:
        return link
    if _below_root(link) != _below_root(collection):
        raise SourceError(
            f"{_shown(url)}: its next page is at {_shown(link)}, on another host and not of this collection, so it is not "
            "asked for; set url to the root that the server uses, or have the server's owner set its service root"
        )
    return f"{collection}?{urlsplit(link).query}"


def _host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _below_root(url: str) -> str:
    """The path of a collection below its service root, which ends in /v1.1; the whole path if it has no such root."""
    path = unquote(urlsplit(url).path)
    _, found, below = path.partition("/v1.1/")
    return below if found else path


def _shown(url: str) -> str:
    """The address without its query, which may hold a credential."""
    return url.partition("?")[0]


class Point(NamedTuple):
    """A place on Earth, as far as it is known."""

    longitude: float | None = None  # degrees east
    latitude: float | None = None  # degrees north
    elevation_m: float | None = None  # metres


_LIMITS = (180.0, 90.0, 9000.0)  # in the order of Point


def read_point(location: Any) -> Point | None:
    """The point that GeoJSON gives, bare or in a feature; None for anything else, and for a place that is not on Earth."""
    if isinstance(location, dict) and location.get("type") == "Feature":
        location = location.get("geometry")
    if not isinstance(location, dict) or location.get("type") != "Point":
        return None
    given = location.get("coordinates")
    if not isinstance(given, list):
        return None
    point = Point(*(_within(value, limit) for value, limit in zip(given, _LIMITS, strict=False)))
    return None if point.longitude is None or point.latitude is None else point


def _within(value: Any, limit: float) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) and abs(value) <= limit else None


def _validate_station(path: str) -> str:
    """Return the path if a Thing can have it; raise ValueError if not."""
    if not re.fullmatch(r"name|@iot\.id|properties(/[^/]+)+", path):
        raise ValueError(
            f"{path!r} is not a property of a Thing: write 'name', '@iot.id' or for example 'properties/code'"
        )
    return path


StationPath = Annotated[str, AfterValidator(_validate_station)]


class _Entity(BaseModel):
    """What is read of an entity; unknown keys are ignored, because servers add more."""

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
    """A Thing with its Locations and Datastreams."""

    id: int | str = Field(alias="@iot.id")
    name: str = ""
    properties: dict[str, Any] | None = None
    locations: tuple[Location, ...] = Field(default=(), alias="Locations")
    datastreams: tuple[Datastream, ...] = Field(default=(), alias="Datastreams")
    more_datastreams: str | None = Field(default=None, alias="Datastreams@iot.nextLink")

    def __str__(self) -> str:
        return f"Thing {self.id} {self.name!r}"

    def station_id(self, path: str) -> str | None:
        """The text or whole number at `path` (a StationPath), as text; None if there is neither."""
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

    Raises SourceError if there is none, or if the response holds an entity that is no Thing.
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
    """The Things by station_id, and a line for each that has none at `path` or shares it with another Thing."""
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
    """The station list (STATION_SCHEMA) of Things by station_id."""
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
    """The Thing with all Datastreams; they are asked for separately if the server did not list them all."""
    if thing.more_datastreams is None:
        return thing
    url = entity_url(root, "Things", thing.id, "Datastreams")
    pages = read_collection(client, url, {"$expand": "ObservedProperty"})
    entity = {"@iot.id": thing.id, "Datastreams": [entity for page in pages for entity in page]}
    return thing.model_copy(update={"datastreams": _thing(entity, root).datastreams, "more_datastreams": None})
