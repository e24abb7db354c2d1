"""The source of kind "open_meteo": hourly weather at any place, as if a station stood there.

`OpenMeteoSource` has the settings and decides which days and places to ask for; request.py asks.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

import polars as pl
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from daycast.errors import ConfigError, SourceError, did_you_mean
from daycast.sources.batch import SourceBatch, declared_units, mapping_text
from daycast.sources.context import SettingsInContext
from daycast.sources.files.station_list import StationList
from daycast.sources.http.client import Client, HttpSettings
from daycast.sources.open_meteo.places import DEFAULT_COLUMNS, INTERFACES, Place, groups_of, places_of, stations_of
from daycast.sources.open_meteo.request import READER_VERSION, Days, Request, RequestTemplate, split_days
from daycast.sources.tables.short_forms import Duration
from daycast.sources.tables.times import earlier
from daycast.times import DAY
from daycast.variables import Variable

_MAX_FAILURES_IN_A_ROW = 2  # requests in a row, each tried several times; then the service counts as down


def _validate_url(url: str | None) -> str | None:
    """Return the address of an interface; raise ValueError if it is none."""
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
        raise ValueError("is not the address of an interface: write https://host/v1/archive, and a secret under http")
    return url


class OpenMeteoSource(SettingsInContext):
    """A `[[sources]]` table of kind "open_meteo", and the Source that asks as it says.

    It gives analyses of weather models at the places (from the forecast interface also forecasts of a few hours), not
    measurements. The stations stand in the table, or in a file relative to `folder` in the validation context. A secret is
    read from `environment` there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    resumes: ClassVar[bool] = True

    kind: Literal["open_meteo"] = "open_meteo"
    name: str
    interface: Literal["archive", "forecast"] = "archive"
    url: Annotated[str | None, AfterValidator(_validate_url)] = None  # None: the interface's public address
    model: str | None = None  # weather model, for example "era5"; None: the service's best for each place
    places: Annotated[tuple[Place, ...], Field(alias="stations")] = ()
    station_list: StationList | None = None
    columns: Annotated[dict[str, str] | None, Field(min_length=1)] = None  # Open-Meteo's name by ours
    start: date | None = None  # first day; None: 730 days back, 90 for the forecast interface
    look_back: Duration = 5 * DAY  # asked for again each time, for late and corrected values
    reporting_delay: Duration | None = None  # None: 5 days for the archive, 0 for the forecast interface
    piece_days: Annotated[int, Field(ge=1, le=366)] = 30  # at most, in one request
    piece_stations: Annotated[int, Field(ge=1, le=200)] = 50  # at most, in one request; 200 make an address of 6 kB
    http: HttpSettings = HttpSettings()

    @model_validator(mode="after")
    def _validate_stations(self) -> Self:
        if bool(self.places) == (self.station_list is not None):
            raise ValueError("needs either stations or station_list, to know which places to ask for")
        ids = [place.id for place in self.places]
        if len(set(ids)) < len(ids):
            raise ValueError(f"stations lists {max(ids, key=ids.count)!r} more than once")
        return self

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield what was received up to `until`, a batch for each request; see Source.

        A request asks for at most `piece_days` and `piece_stations`. The first one begins `look_back` and `reporting_delay`
        before `since`. Without `since`, requests whose final response an earlier, interrupted run ingested are skipped.
        Raises ConfigError for a variable that does not exist, before anything is asked. Raises SourceError for failed
        requests after all batches.
        """
        requests = self._requests(self._template(variables), since, until)
        if since is None:
            settled = {known.partition(" ")[0] for known in seen if " " in known}
            requests = (request for request in requests if request.key not in settled)
        return self._batches(requests, until, seen)

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA). Raises SourceError if its file cannot be read or a position is missing."""
        return stations_of(self._places())

    def mapping(self, variables: Mapping[str, Variable]) -> str:
        """How answers are read; see Source."""
        asked = {"name", "places", "station_list", "start", "look_back", "piece_days", "piece_stations", "http"}
        settings = self.model_dump(mode="json", exclude=asked, exclude_defaults=True)
        declared = declared_units(self.columns or (), variables)
        return mapping_text(READER_VERSION, settings, declared)

    def _batches(self, requests: Iterator[Request], until: datetime, seen: Collection[str]) -> Iterator[SourceBatch]:
        errors: list[str] = []
        failed_in_a_row, may_pass = 0, False
        with Client(self.http, self._environment) as client:
            for request in requests:
                try:
                    batch = request.fetch(client, until)
                except SourceError as error:
                    errors.append(str(error))
                    failed_in_a_row, may_pass = failed_in_a_row + 1, may_pass or error.may_pass
                    if failed_in_a_row == _MAX_FAILURES_IN_A_ROW:
                        break
                    continue
                failed_in_a_row = 0
                if batch is not None and batch.fingerprint not in seen:
                    yield batch
        if errors:
            others = f" (and {len(errors) - 1} more, the last: {errors[-1]})" if errors[1:] else ""
            raise SourceError(f"source {errors[0]}{others}").passing(may_pass=may_pass)

    def _template(self, variables: Mapping[str, Variable]) -> RequestTemplate:
        return RequestTemplate(
            source=self.name,
            url=self.url or INTERFACES[self.interface].url,
            model=self.model,
            columns=self._columns(variables),
            variables=variables,
            reporting_delay=self._delay,
            look_back=self.look_back,
        )

    def _requests(self, template: RequestTemplate, since: datetime | None, until: datetime) -> Iterator[Request]:
        groups = list(groups_of(self._places(), self.piece_stations))
        days = self._days(since, until)
        for span in split_days(days, self.piece_days) if days else ():
            for group in groups:
                yield Request(template, group, span)

    def _days(self, since: datetime | None, until: datetime) -> Days | None:
        """The days to ask for; None if no day has data yet."""
        interface = INTERFACES[self.interface]
        firsts = [self.start] if self.start else []
        if since is not None:
            firsts.append(earlier(since, self._delay, self.look_back).date())
        elif self.start is None:
            firsts.append((until - interface.history).date())
        if interface.keeps is not None:
            firsts.append((until - interface.keeps).date())
        days = Days(max(firsts), earlier(until, self._delay).date())
        return days if days.first <= days.last else None

    def _columns(self, variables: Mapping[str, Variable]) -> dict[str, str]:
        """Open-Meteo's variable by ours: as configured, or the default ones that the network has."""
        if self.columns is None:
            return {name: column for name, column in DEFAULT_COLUMNS.items() if name in variables}
        for name in self.columns:
            if name not in variables:
                matches = did_you_mean(name, variables)
                raise ConfigError(
                    f"source {self.name!r}: {name!r} is not a variable{matches}; there are: {', '.join(variables)}"
                )
        return self.columns

    def _places(self) -> tuple[Place, ...]:
        if self.station_list is None:
            return self.places
        return places_of(self.station_list.read(self._folder, (), "."), self.station_list.file)

    @property
    def _delay(self) -> timedelta:
        return INTERFACES[self.interface].reporting_delay if self.reporting_delay is None else self.reporting_delay
