"""The source of kind "sensorthings": readings from a SensorThings service, the open interface of sensor networks."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

import polars as pl
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from daycast.errors import ConfigError, SourceError
from daycast.sources.batch import SourceBatch, declared_units, mapping_text
from daycast.sources.context import SettingsInContext
from daycast.sources.http.client import Client, HttpSettings
from daycast.sources.sensorthings.datastreams import (
    DatastreamColumn,
    choose_channels,
    unfound_columns,
    validate_columns,
)
from daycast.sources.sensorthings.observations import SeriesReader, StationChannels, Timing, read_station
from daycast.sources.sensorthings.things import StationPath, Thing, fetch_things, name_stations, station_list
from daycast.sources.tables.short_forms import Duration, list_if_bare
from daycast.sources.tables.times import earlier
from daycast.times import DAY, HOUR, parse_time
from daycast.variables import Variable

_READER_VERSION = 1  # raise it if equal responses and settings give other readings: they are ingested again
_MAX_FAILURES_IN_A_ROW = 5  # after so many Things the service counts as down; each may take minutes


def _property_if_bare(value: Any) -> Any:
    return {"observed_property": value} if isinstance(value, str) else value


def _utc_time(value: Any) -> Any:
    try:
        return None if value is None else parse_time(str(value))
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _validate_root(url: str) -> str:
    """Return the service root without a slash at its end; raise ValueError if it is none."""
    parts = urlsplit(url)
    root = url.rstrip("/")
    plain = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
    if not plain or parts.query or parts.fragment or not root.endswith("/v1.1"):
        raise ValueError(f"{url!r} is not a service root: write https://host/path/v1.1, and credentials under http")
    return root


Text = Annotated[str, Field(coerce_numbers_to_str=True)]


class SensorThingsSource(SettingsInContext):
    """A `[[sources]]` table of kind "sensorthings", and the Source that asks as it says.

    A Thing is a station, and each variable is one of its Datastreams. Secrets are read from `environment` in the validation
    context.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resumes: ClassVar[bool] = True

    kind: Literal["sensorthings"] = "sensorthings"
    name: str
    url: Annotated[str, AfterValidator(_validate_root)]  # the service root, which ends in /v1.1
    columns: Annotated[
        dict[str, Annotated[DatastreamColumn, BeforeValidator(_property_if_bare)]], Field(min_length=1)
    ]  # by variable
    station: StationPath = "name"  # which part of a Thing is its station_id
    things_filter: str | None = None  # OData, for example "properties/network eq 'roofs'"
    missing: Annotated[tuple[Text, ...], BeforeValidator(list_if_bare)] = ()  # results that mean: none
    receipt: Literal["assumed", "result_time"] = "assumed"  # result_time: resultTime is when a value was received
    reporting_delay: Duration = timedelta(0)
    longest_interval: Annotated[Duration, Field(le=DAY)] = HOUR  # the longest that one Observation may stand for
    start: Annotated[datetime | None, BeforeValidator(_utc_time)] = None  # None: the first Observation
    look_back: Duration = 2 * DAY  # asked for again each time, for late and corrected values
    piece: Annotated[Duration, Field(ge=DAY)] = 30 * DAY  # the longest span of one batch
    page_size: Annotated[int, Field(ge=1)] = 1000  # Observations to ask for at once; servers may send fewer
    http: HttpSettings = HttpSettings()

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield what each Thing observed, a batch for each `piece` of time; see Source.

        It asks from `look_back` and `reporting_delay` before `since`, never from before `start`. Without `since` it skips
        batches that an earlier, interrupted run ingested and that are final. Raises ConfigError for a variable or unit that
        does not exist, before anything is asked. Raises SourceError if the Things cannot be read; if a single Thing or
        column cannot, after all batches.
        """
        try:
            validate_columns(self.columns, variables)
        except ConfigError as error:
            raise ConfigError(f"source {self.name!r}: {error}") from None
        return self._batches(since, until, variables, seen)

    def stations(self) -> pl.DataFrame:
        """The Things that have a Datastream we look for (STATION_SCHEMA); those whose station_id is not clear are left out.

        Raises SourceError if the Things cannot be read.
        """
        with Client(self.http, self._environment) as client:
            stations, _ = name_stations(
                self._relevant(fetch_things(client, self.url, self.things_filter)), self.station
            )
        return station_list(stations)

    def _batches(
        self, since: datetime | None, until: datetime, variables: Mapping[str, Variable], seen: Collection[str]
    ) -> Iterator[SourceBatch]:
        with Client(self.http, self._environment) as client:
            things = fetch_things(client, self.url, self.things_filter)
            stations, errors = self._choose(things, variables)
            reader = SeriesReader(client, self.url, self._timing, self.page_size)
            failed_in_a_row, may_pass = 0, False
            span, final_until = (self._begin(since), until), until - self.look_back - self.reporting_delay
            # batches that are final and that an earlier, interrupted run ingested
            settled = {known.partition(" ")[0] for known in seen if " " in known} if since is None else set[str]()
            for station in stations:
                batches = read_station(reader, station, span, self.piece, self._read_as, final_until, settled)
                try:
                    yield from (batch for batch in batches if batch.fingerprint not in seen)
                    failed_in_a_row = 0
                except SourceError as error:
                    errors.append(str(error))
                    failed_in_a_row, may_pass = failed_in_a_row + 1, may_pass or error.may_pass
                if failed_in_a_row == _MAX_FAILURES_IN_A_ROW:
                    errors.append(
                        f"stopped at {_MAX_FAILURES_IN_A_ROW} Things in a row; use things_filter to leave out dead ones"
                    )
                    break
        if errors:
            others = f" (and {len(errors) - 1} more, the last: {errors[-1]})" if errors[1:] else ""
            raise SourceError(f"source {self.name!r}: {errors[0]}{others}").passing(may_pass=may_pass)

    def _choose(
        self, things: Sequence[Thing], variables: Mapping[str, Variable]
    ) -> tuple[list[StationChannels], list[str]]:
        """The stations with their Channels, and what is wrong with the others and with the columns."""
        named, errors = name_stations(self._relevant(things), self.station)
        errors += unfound_columns(self.columns, things)
        chosen = []
        for station_id, thing in named.items():
            try:
                channels = choose_channels(thing, self.columns, variables, self.missing)
            except SourceError as error:
                errors.append(str(error))
            else:
                chosen.append(StationChannels(station_id, thing.id, tuple(channels), tuple(variables)))
        return chosen, errors

    def _relevant(self, things: Sequence[Thing]) -> list[Thing]:
        columns = self.columns.values()
        return [
            thing for thing in things if any(column.finds(stream) for stream in thing.datastreams for column in columns)
        ]

    def _begin(self, since: datetime | None) -> datetime | None:
        """The moment after which to ask; None: from the first Observation."""
        if since is None:
            return self.start
        begin = earlier(since, self.look_back, self.reporting_delay)
        return max(begin, self.start) if self.start else begin

    @property
    def _timing(self) -> Timing:
        return Timing(self.reporting_delay, self.receipt == "result_time", self.longest_interval)

    def mapping(self, variables: Mapping[str, Variable]) -> str:
        """How answers are read; see Source."""
        asked = {"name", "http", "start", "look_back", "piece", "page_size", "things_filter"}
        settings = self.model_dump(mode="json", exclude=asked, exclude_defaults=True)
        declared = declared_units(self.columns, variables)
        return mapping_text(_READER_VERSION, settings, declared)

    @property
    def _read_as(self) -> str:
        """Everything that decides how a response is read: part of fingerprints."""
        not_in_fingerprint = {"http", "start", "look_back", "piece", "page_size", "things_filter"}
        return f"{_READER_VERSION} {self.model_dump_json(exclude=not_in_fingerprint)}"
