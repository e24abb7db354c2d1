"""What the sources of NOAA's station-years share: `NoaaArchive` has their settings and fetches, `make_batch` makes batches."""

import re
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, ClassVar

import polars as pl
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from daycast.errors import SourceError, listed
from daycast.sources.batch import SourceBatch, mapping_text, problems_frame
from daycast.sources.context import SettingsInContext
from daycast.sources.http.client import Client, HttpSettings
from daycast.sources.noaa.station_years import (
    ArchiveStore,
    FolderStore,
    Reports,
    StationYear,
    StationYearStore,
    no_reports,
)
from daycast.sources.streams import read_bytes
from daycast.sources.tables.short_forms import Duration, list_if_bare
from daycast.sources.tables.times import earlier
from daycast.times import HOUR
from daycast.variables import Variable


@dataclass(frozen=True, slots=True)
class Span:
    """What to hand over: received in (since, until], `delay` after the observation, and not observed before `start`."""

    since: datetime | None
    until: datetime
    start: datetime | None
    delay: timedelta


def make_batch(
    reports: Reports, station_year: StationYear, fingerprint: str, span: Span, variables: Mapping[str, Variable]
) -> SourceBatch:
    """The reports of a station-year in `span`, and those whose time cannot be read; a variable that the file lacks is null."""
    readings = _readings(reports.values, station_year.station, span.delay, variables)
    received, observed, never = pl.col("received_at"), pl.col("observed_at"), pl.lit(value=False)
    sides = readings.select(
        late=(received > span.until).fill_null(value=False),
        old=(received <= span.since).fill_null(value=False) if span.since else never,
        before=(observed < span.start).fill_null(value=False) if span.start else never,
    )
    inside = ~(sides["late"] | sides["old"] | sides["before"])
    return SourceBatch(
        origin=station_year.origin,
        fingerprint=fingerprint,
        readings=readings.filter(inside),
        raw=reports.raw.filter(inside),
        problems=_renumber(problems_frame(reports.problems), inside),
        bad_values=_renumber(problems_frame(reports.bad_values), inside),
        complete=not (sides["late"] | sides["old"]).any(),
        receipt="assumed",
    )


def _readings(values: pl.DataFrame, station: str, delay: timedelta, variables: Mapping[str, Variable]) -> pl.DataFrame:
    def none(name: str) -> pl.Expr:
        return pl.repeat(None, pl.len(), dtype=pl.Float64).alias(name)

    return values.select(
        pl.repeat(station, pl.len(), dtype=pl.String).alias("station_id"),
        "observed_at",
        (pl.col("observed_at") + delay).alias("received_at"),
        *(pl.col(name) if name in values.columns else none(name) for name in variables),
    )


def _renumber(problems: pl.DataFrame, kept: pl.Series) -> pl.DataFrame:
    """The problems of the rows `kept`, with their row numbers counted among these rows."""
    numbers = kept.cum_sum().cast(pl.UInt32)
    row = problems["row_number"]
    return problems.filter(kept.gather(row)).with_columns(row_number=numbers.gather(row.filter(kept.gather(row))) - 1)


_MAX_FAILURES_IN_A_ROW = 3  # after so many station-years the archive counts as down
_NOT_IN_FINGERPRINT = {"name", "folder", "archive", "station_ids", "station_list", "http"}  # they change no reading


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


class NoaaArchive(SettingsInContext):
    """The settings of a source that reads station-years, from `folder` or from `archive`, and how it fetches them.

    The archive states only when a report was made, and receives it days later. `reporting_delay` is how long after the
    observation people who receive reports directly usually have them, so that the past is learned as it would have been
    lived.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resumes: ClassVar[bool] = False
    reader_version: ClassVar[int]  # raise it if equal files and settings give other readings: they are ingested again
    file_name: ClassVar[re.Pattern[str]]  # has the groups station and year
    station_form: ClassVar[re.Pattern[str]]
    ended: ClassVar[str]  # what a station may mean whose files have stopped, and the way on

    name: str
    folder: str | None = None  # relative to the configuration's; its subfolders are searched too
    archive: str
    station_ids: Annotated[tuple[str, ...], BeforeValidator(list_if_bare)] = Field(
        default=(), alias="stations"
    )  # empty: all in the folder
    start: Annotated[datetime | None, AfterValidator(_in_utc)] = None  # earlier reports are left out
    reporting_delay: Duration = HOUR
    station_list: str | None = None  # file or address
    http: HttpSettings = HttpSettings()

    @model_validator(mode="after")
    def _validate_where(self) -> "NoaaArchive":
        for station in self.station_ids:
            if not self.station_form.fullmatch(station):
                raise ValueError(
                    f"{station!r} is not a station of this archive: stations match {self.station_form.pattern}"
                )
        if self.folder is not None and "archive" in self.model_fields_set:
            raise ValueError(f"give folder ({self.folder!r}) or archive ({self.archive!r}), not both")
        if self.folder is None and not self.station_ids:
            raise ValueError("give the stations to fetch from the archive, or a folder with files")
        if self.folder is None and self.start is None:
            raise ValueError("give start, the first day to fetch from the archive, for example 2015-01-01")
        return self

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield a batch for each station-year, with what was received in (since, until]; see Source.

        Years that ended before `since` or `start` are skipped. If `since` is None, years of an archive that were closed when
        they were last read are skipped too. Raises SourceError for a folder without station-years before any is read. Raises
        SourceError for files that cannot be fetched or read, and for stations that were never found, after all other
        batches. A station of an archive that has files, and none of the newest year, is a doubt.
        """
        with ExitStack() as opened:
            store = self._store(opened, seen, until, refetch=since is not None)
            errors: list[str] = []
            failed_in_a_row, may_pass = 0, False
            told = set[str]()  # stations whose files have stopped
            for station_year in store.find(self._first_year(since), until.year):
                try:
                    batch = self._fetch_batch(store, station_year, (since, until), variables)
                    failed_in_a_row = 0
                except SourceError as error:
                    errors.append(str(error))
                    failed_in_a_row, may_pass = failed_in_a_row + 1, may_pass or error.may_pass
                    if failed_in_a_row == _MAX_FAILURES_IN_A_ROW and self.folder is None:
                        break
                    continue
                if batch is not None:
                    new = {} if told else store.ended()  # one line for the first, and below one for all others
                    told |= new.keys()
                    yield replace(batch, doubts=self._doubts(new))
            if left := {station: line for station, line in store.ended().items() if station not in told}:
                yield self._note(self._doubts(left), variables)
        errors += [] if (missing := store.describe_missing()) is None else [missing]
        if errors:
            others = f" (and {len(errors) - 1} more, the last: {errors[-1]})" if errors[1:] else ""
            raise SourceError(f"source {self.name!r}: {errors[0]}{others}").passing(may_pass=may_pass)

    def _doubts(self, ended: Mapping[str, str]) -> tuple[str, ...]:
        """One line about the stations whose files have stopped: the first in full, the others by name; none if there are none."""
        if not ended:
            return ()
        (_, line), *others = ended.items()
        likewise = f"; likewise {listed([station for station, _ in others])}" if others else ""
        return (f"{line}{likewise}: {self.ended}",)

    def _note(self, doubts: tuple[str, ...], variables: Mapping[str, Variable]) -> SourceBatch:
        """A batch without rows that carries doubts."""
        note = StationYear("", None, f"{self.name}: files that have stopped")
        span = Span(None, datetime.max.replace(tzinfo=UTC), None, self.reporting_delay)
        fingerprint = f"ended {sha256(repr(doubts).encode()).hexdigest()[:16]}"
        return replace(make_batch(no_reports(), note, fingerprint, span, variables), doubts=doubts)

    @abstractmethod
    def address(self, station: str, year: int) -> str:
        """The address of a station-year in the archive."""

    @abstractmethod
    def read(self, content: bytes, station_year: StationYear) -> Reports:
        """The reports in the file of a station-year. Raises SourceError if it is no such file."""

    def files(self) -> list[tuple[StationYear, Path]]:
        """The station-years in the folder with their paths, by station and year; none if the archive is read."""
        if self.folder is None:
            return []
        store = self._folder_store(self.folder, ())
        return [(station_year, store.folder / station_year.origin) for station_year in store.files()]

    def stations_read(self) -> list[str]:
        """The stations that are read: those configured, otherwise all in the folder."""
        return list(self.station_ids or dict.fromkeys(station_year.station for station_year, _ in self.files()))

    def read_station_list(self, in_folder: str, in_archive: str) -> tuple[bytes, str] | None:
        """The content of the station list and its name; None for a folder without one. Raises SourceError if it cannot be read.

        It is `station_list`; if that is not set, the file `in_folder`, or for the archive the file at the address
        `in_archive`.
        """
        listed = self.station_list
        if listed is None and self.folder is not None:
            beside = self._folder / Path(self.folder).expanduser() / in_folder
            return (read_bytes(beside, in_folder), in_folder) if beside.is_file() else None
        place = listed or in_archive
        if not place.startswith(("http://", "https://")):
            return read_bytes(self._folder / Path(place).expanduser(), place), place
        with Client(self.http, self._environment) as client:
            body = client.get_bytes(place)
        return None if body is None else (body.content, place)

    def _store(self, opened: ExitStack, seen: Collection[str], until: datetime, *, refetch: bool) -> StationYearStore:
        if self.folder is not None:
            return self._folder_store(self.folder, seen)
        client = opened.enter_context(Client(self.http, self._environment))
        return ArchiveStore(client, self.address, self.station_ids, self._read_as, seen, until, refetch=refetch)

    def _folder_store(self, folder: str, seen: Collection[str]) -> FolderStore:
        place = self._folder / Path(folder).expanduser()
        return FolderStore(place, self.file_name, self.station_ids, self._read_as, seen)

    def _first_year(self, since: datetime | None) -> int | None:
        """The first year that may hold a report received after `since` and made after `start`."""
        starts = [self.start, None if since is None else earlier(since, self.reporting_delay)]
        years = [time.year for time in starts if time is not None]
        return max(years) if years else None

    def mapping(self, variables: Mapping[str, Variable]) -> str:  # noqa: ARG002 (units of declared variables play no part)
        """How files are read; see Source."""
        left_out = {*_NOT_IN_FINGERPRINT, "start"}
        return mapping_text(self.reader_version, self.model_dump(mode="json", exclude=left_out, exclude_defaults=True))

    @property
    def _read_as(self) -> str:
        """Everything that decides how a file is read, as 16 hexadecimal digits: part of fingerprints."""
        text = f"{self.reader_version} {self.model_dump_json(exclude=_NOT_IN_FINGERPRINT)}"
        return sha256(text.encode()).hexdigest()[:16]

    def _fetch_batch(
        self,
        store: StationYearStore,
        station_year: StationYear,
        span: tuple[datetime | None, datetime],
        variables: Mapping[str, Variable],
    ) -> SourceBatch | None:
        fetched = store.fetch(station_year)
        if fetched is None:
            return None
        reports = no_reports() if fetched.content is None else self.read(fetched.content, station_year)
        handed_over = Span(*span, self.start, self.reporting_delay)
        batch = make_batch(reports, station_year, fetched.fingerprint, handed_over, variables)
        return replace(batch, supersedes=self.folder is not None)
