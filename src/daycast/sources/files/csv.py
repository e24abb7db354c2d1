"""Readings in CSV files: any logger's export, told apart from any other by its configuration alone."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, BinaryIO, Literal

import polars as pl
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from daycast.sources.batch import ISSUE_KEYS, READING_KEYS, SourceBatch, fingerprint
from daycast.sources.files.csv_table import (
    Chunk,
    Complaint,
    Separator,
    Survey,
    complaints_about_layout,
    complaints_about_values,
    list_problems,
    read_chunks,
    survey,
)
from daycast.sources.files.inbox import HOW_FILES_COME, FileChunks, Inbox, InboxFile
from daycast.sources.files.station_list import StationList
from daycast.sources.streams import UNREADABLE, Encoding, blocks_of, open_bytes
from daycast.sources.tables.columns import ForecastTexts, MappedColumns, StationKey, declared_units, units_of, unused
from daycast.sources.tables.short_forms import Duration, column_if_bare, list_if_bare
from daycast.sources.tables.times import (
    TimeColumn,
    TimeParts,
    WallClocks,
    is_beyond_calendar,
    parse_instant,
    parse_wall,
    validate_timezone,
)
from daycast.sources.tables.units import COMPASS
from daycast.sources.tables.values import ValueReader, strip_missing
from daycast.stations import STATION_SCHEMA
from daycast.times import BEYOND_CALENDAR
from daycast.variables import Variable

_READER_VERSION = 1  # raise it when the same file and configuration give other readings: then files are read again


def _time_tag(value: Any) -> str:
    return "text" if isinstance(value, TimeColumn) or (isinstance(value, dict) and "column" in value) else "parts"


Text = Annotated[str, Field(coerce_numbers_to_str=True)]
Time = Annotated[
    Annotated[TimeColumn, Tag("text")] | Annotated[TimeParts, Tag("parts")],
    Discriminator(_time_tag),
    BeforeValidator(column_if_bare),
]


class CsvSource(Inbox):
    """A `[[sources]]` table of kind "csv", and the Source that reads as it says.

    Which files are read, and when, DropFolder says; all paths are relative to the folder in the validation context.
    Every row is delivered or held back; what cannot be read in it is a problem with a reason, and is kept as it came.
    """

    kind: Literal["csv"] = "csv"
    separator: Separator = ","
    encoding: Encoding | None = None  # None: as text_encoding.py says
    decimal: Literal[".", ","] = "."
    missing: Annotated[tuple[Text, ...], BeforeValidator(list_if_bare)] = ()  # markers beside the empty field
    timezone: Annotated[str, AfterValidator(validate_timezone)] = "UTC"  # of times that name no offset
    reporting_delay: Duration = timedelta(0)
    station: Annotated[StationKey, BeforeValidator(column_if_bare)]
    time: Time
    forecast: ForecastTexts | None = None  # the rows are somebody's forecast; `time` is then the hour it speaks of
    columns: MappedColumns
    station_list: StationList | None = None

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield one delivery a file, by name, of what was received in (since, until], of a large file several; see Source.

        Rows whose time cannot be read are in every delivery of their file.
        Raises ConfigError for a variable or unit that does not exist and SourceError for a glob without files, both
        before any file is read; SourceError for a bad file after all the others were delivered.
        """
        readers = self._readers(variables)

        def deliver(file: InboxFile) -> Iterator[SourceBatch]:
            with open_bytes(file.path, file.origin) as stream:
                chunks = FileChunks(file, self._fingerprint(stream, file.path.name, variables), seen)
                if chunks.all_seen:
                    file.put_away()  # a run that was killed between the commit and this
                    return
                about = survey(stream, file.origin, self.encoding)
                if about.ends_mid_line and file.may_be_unfinished():
                    return
                clocks = WallClocks(self.timezone)
                for chunk in read_chunks(stream, about, self.separator, self._needed, file.origin):
                    if (read_as := chunks.next(last=chunk.last)) is not None:
                        delivery = self._delivery(chunk, file, (since, until), readers, variables, clocks, about)
                        origin = chunks.origin(f"line {chunk.first_line:,}")
                        yield replace(delivery, origin=origin, fingerprint=read_as, finish=chunks.finish)

        return self.deliver_each(self.arrived(), deliver)

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA), empty if none is configured; raises SourceError if it cannot be read."""
        if self.station_list is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return self.station_list.read(self._folder, self.missing, self.decimal)

    @property
    def _needed(self) -> list[str]:
        """The columns that are read."""
        issue = self.forecast.columns if self.forecast else ()
        values = (given.column for given in self.columns.values())
        return list(dict.fromkeys([*self.station.columns, *self.time.columns, *issue, *values]))

    def _readers(self, variables: Mapping[str, Variable]) -> list[ValueReader]:
        return [
            ValueReader(name, given.column, unit, given.unit == COMPASS, self.missing, self.decimal)
            for name, given, unit in units_of(self.name, self.columns, variables)
        ]

    def _delivery(
        self,
        chunk: Chunk,
        file: InboxFile,
        span: tuple[datetime | None, datetime],
        readers: list[ValueReader],
        variables: Mapping[str, Variable],
        clocks: WallClocks,
        about: Survey,
    ) -> SourceBatch:
        keys = self._keys(chunk.table, file.path.name, clocks)
        received = keys["received_at"]
        held_back = (received > span[1]).fill_null(value=False)
        old = (received <= span[0]).fill_null(value=False) if span[0] else held_back
        waiting = int((held_back & (keys["issued_at" if self.forecast else "observed_at"] > span[1])).sum())
        aside, raw = held_back | old, chunk.table
        if aside.any():
            raw, keys = raw.filter(~aside), keys.filter(~aside)
        read = raw.lazy().select(part for reader in readers for part in (reader.value(), reader.unreadable())).collect()
        problems = self._problems(raw, read, keys, readers, quoted=about.quoted)
        return SourceBatch(
            origin=file.origin,
            fingerprint="",
            readings=self._readings(read, keys, variables),
            raw=raw,
            problems=list_problems(self._with_unreadable(problems, raw, about) if chunk.unreadable else problems),
            complete=not aside.any(),
            receipt="stated" if self.forecast and self.forecast.received else "assumed",
            waiting=waiting,
        )

    def _keys(self, table: pl.DataFrame, file_name: str, clocks: WallClocks) -> pl.DataFrame:
        """READING_KEYS of every row, or ISSUE_KEYS beside them, with the steps to them: `written`, `text` and `wall`."""
        keys = self._instants(table, file_name, self.time, clocks)
        if self.forecast is None:
            return keys.with_columns(received_at=pl.col("observed_at") + self.reporting_delay)
        issued = self._instants(table, file_name, self.forecast.issued, clocks)["observed_at"]
        received = issued + self.reporting_delay
        if self.forecast.received is not None:
            received = self._instants(table, file_name, self.forecast.received, clocks)["observed_at"]
        return keys.with_columns(valid_at="observed_at", issued_at=issued, received_at=received)

    def _instants(
        self, table: pl.DataFrame, file_name: str, time: TimeColumn | TimeParts, clocks: WallClocks
    ) -> pl.DataFrame:
        """Station and instant (`observed_at`) of every row, as `time` says it, with the steps to it."""
        keys = table.select(
            row=pl.int_range(pl.len()),  # a constant station alone would make one row
            station_id=self.station.read(file_name, self.missing),
            written=time.as_written(),
        ).with_columns(text=strip_missing(pl.col("written"), self.missing))
        instant = parse_instant(keys["text"], time.format)
        said_all = instant.null_count() == keys["text"].null_count()
        keys = keys.with_columns(instant.alias("observed_at"), wall=pl.lit(None, pl.Datetime("us")))
        if not said_all:
            keys = keys.with_columns(wall=parse_wall(keys["text"], time.format))
            utc = clocks.of(*time.columns).to_utc(keys["wall"], keys["station_id"])
            keys = keys.with_columns(pl.coalesce("observed_at", utc).alias("observed_at"))
        return keys

    def _readings(self, read: pl.DataFrame, keys: pl.DataFrame, variables: Mapping[str, Variable]) -> pl.DataFrame:
        unmapped = [pl.lit(None, pl.Float64).alias(name) for name in variables if name not in self.columns]
        of = ISSUE_KEYS if self.forecast else READING_KEYS
        return keys.select(of.keys()).hstack(read).with_columns(unmapped).select(*of, *variables)

    def _problems(
        self, raw: pl.DataFrame, read: pl.DataFrame, keys: pl.DataFrame, readers: list[ValueReader], *, quoted: bool
    ) -> list[Complaint]:
        no_station, no_time = keys["station_id"].is_null(), keys["observed_at"].is_null()
        station = raw[self.station.column] if self.station.column else keys["station_id"]
        reasons = self._reasons(keys) if no_time.any() else "no time"
        return [
            Complaint(", ".join(self.station.columns), no_station, station, "no station"),
            Complaint(", ".join(self.time.columns), no_time, keys["written"], reasons),
            *(self.forecast.complaints(raw, keys) if self.forecast else ()),
            *complaints_about_values(raw, read, readers),
            *complaints_about_layout(raw, quoted=quoted),
        ]

    def _with_unreadable(self, others: Iterable[Complaint], raw: pl.DataFrame, about: Survey) -> list[Complaint]:
        """The complaints, and before them one about each column we read for its bytes that are no text."""
        reason = f"has bytes that are not {about.encoding}: they were damaged, or the file's encoding must be set"
        where = {name: raw[name].str.contains(UNREADABLE, literal=True).fill_null(value=False) for name in self._needed}
        unreadable = [Complaint(name, where[name], raw[name], reason) for name in self._needed]
        rest = [
            replace(other, where=other.where & ~where[other.column]) if other.column in where else other
            for other in others
        ]
        return unreadable + rest

    def _reasons(self, keys: pl.DataFrame) -> pl.Series:
        """Why the time of each row cannot be read, if it cannot."""
        text, wall = pl.col("text"), pl.col("wall")
        skipped = pl.format("{} does not exist in {} on that day", wall.dt.strftime("%H:%M"), pl.lit(self.timezone))
        return keys.with_columns(beyond=is_beyond_calendar(keys["text"], self.time.format)).select(
            pl.when(text.is_null()).then(pl.lit("no time"))
            .when("beyond").then(pl.lit(BEYOND_CALENDAR))
            .when(wall.is_null()).then(pl.lit(f"no time in the form {self.time.form}"))
            .otherwise(skipped)
        ).to_series()  # fmt: skip

    def _fingerprint(self, stream: BinaryIO, file_name: str, variables: Mapping[str, Variable]) -> str:
        left_out = {
            *HOW_FILES_COME,
            "station_list",
            *unused("forecast", self.forecast),
            *unused("encoding", self.encoding),
        }
        reading = {
            "version": _READER_VERSION,
            "settings": self.model_dump(mode="json", exclude=left_out),
            "station": self.station.of_file(file_name),
            "declared": declared_units(self.columns, variables),
        }
        return fingerprint(blocks_of(stream), reading)
