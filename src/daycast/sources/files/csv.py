"""The source of kind "csv": readings or external forecasts in CSV files of any logger or service.

`CsvSource` has the settings that tell one export from another. Each file goes through `survey_text` and `read_chunks`
(csv_table.py), then stations and times (`_keys`), values (`ValueReader`) and problems.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, BinaryIO, Literal

import polars as pl
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from daycast.sources.batch import (
    EXTERNAL_FORECAST_KEYS,
    READING_KEYS,
    Problem,
    SourceBatch,
    fingerprint,
    problems_frame,
)
from daycast.sources.files.csv_table import (
    Chunk,
    Separator,
    Survey,
    layout_problems,
    read_chunks,
    survey_text,
    value_problems,
)
from daycast.sources.files.inbox import INBOX_SETTINGS, FileChunk, Inbox, InboxFile
from daycast.sources.files.station_list import StationList
from daycast.sources.streams import UNREADABLE, Encoding, read_blocks
from daycast.sources.tables.columns import (
    ForecastTextColumns,
    MappedColumns,
    StationKey,
    declared_units,
    keys_if_unset,
    units_of,
)
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

_READER_VERSION = 1  # raise it if equal files and settings give other readings: they are ingested again


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

    `Inbox` says which files are read and when. Paths are relative to `folder` in the validation context. Every row is handed
    over or held back; a value that cannot be read is a problem with a reason, and the row is kept as it was written.
    """

    kind: Literal["csv"] = "csv"
    separator: Separator = ","
    encoding: Encoding | None = None  # None: detected, see streams.py
    decimal: Literal[".", ","] = "."
    missing: Annotated[tuple[Text, ...], BeforeValidator(list_if_bare)] = ()  # markers besides the empty field
    timezone: Annotated[str, AfterValidator(validate_timezone)] = "UTC"  # of times without an offset
    reporting_delay: Duration = timedelta(0)
    station: Annotated[StationKey, BeforeValidator(column_if_bare)]
    time: Time
    forecast: ForecastTextColumns | None = None  # rows are an external forecast, valid at `time`
    columns: MappedColumns
    station_list: StationList | None = None

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield a batch for each file, by name, with what was received in (since, until]; a large file gives several. See Source.

        Rows whose time cannot be read are in every batch of their file. Raises ConfigError for a variable or unit that does
        not exist, and SourceError for a glob without files, both before any file is read. Raises SourceError for bad files
        after all other files.
        """
        readers = self._readers(variables)

        def chunks_of(stream: BinaryIO, file: InboxFile) -> Iterator[FileChunk]:
            survey = survey_text(stream, file.origin, self.encoding)
            if survey.ends_mid_line and file.may_be_unfinished():
                return
            clocks = WallClocks(self.timezone)
            for chunk in read_chunks(stream, survey, self.separator, self._needed, file.origin):
                make_batch = partial(self._make_batch, chunk, file, (since, until), readers, variables, clocks, survey)
                yield FileChunk(f"line {chunk.first_line:,}", chunk.last, make_batch, self.timezone != "UTC")

        return self.read_files(seen, partial(self._fingerprint, variables=variables), chunks_of)

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA), empty if none is configured. Raises SourceError if it cannot be read."""
        if self.station_list is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return self.station_list.read(self._folder, self.missing, self.decimal)

    @property
    def _needed(self) -> list[str]:
        """The columns that are read, each once."""
        issue = self.forecast.columns if self.forecast else ()
        values = (mapped.column for mapped in self.columns.values())
        return list(dict.fromkeys([*self.station.columns, *self.time.columns, *issue, *values]))

    def _readers(self, variables: Mapping[str, Variable]) -> list[ValueReader]:
        return [
            ValueReader(name, mapped.column, unit, mapped.unit == COMPASS, self.missing, self.decimal)
            for name, mapped, unit in units_of(self.name, self.columns, variables)
        ]

    def _make_batch(
        self,
        chunk: Chunk,
        file: InboxFile,
        span: tuple[datetime | None, datetime],
        readers: list[ValueReader],
        variables: Mapping[str, Variable],
        clocks: WallClocks,
        survey: Survey,
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
        problems = self._problems(raw, read, keys, readers, quoted=survey.quoted)
        return SourceBatch(
            origin=file.origin,
            fingerprint="",  # set by FileLoader
            readings=self._readings(read, keys, variables),
            raw=raw,
            problems=problems_frame(self._with_unreadable(problems, raw, survey) if chunk.unreadable else problems),
            complete=not aside.any(),
            receipt="stated" if self.forecast and self.forecast.received else "assumed",
            waiting=waiting,
        )

    def _keys(self, table: pl.DataFrame, file_name: str, clocks: WallClocks) -> pl.DataFrame:
        """READING_KEYS or EXTERNAL_FORECAST_KEYS of every row, and the steps to its time: `written`, `text` and `wall`."""
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
        """Station and instant (`observed_at`) of every row, as `time` says, and the steps to it."""
        keys = table.select(
            row=pl.int_range(pl.len()),  # a constant station alone would make a single row
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
        of = EXTERNAL_FORECAST_KEYS if self.forecast else READING_KEYS
        return keys.select(of.keys()).hstack(read).with_columns(unmapped).select(*of, *variables)

    def _problems(
        self, raw: pl.DataFrame, read: pl.DataFrame, keys: pl.DataFrame, readers: list[ValueReader], *, quoted: bool
    ) -> list[Problem]:
        no_station, no_time = keys["station_id"].is_null(), keys["observed_at"].is_null()
        station = raw[self.station.column] if self.station.column else keys["station_id"]
        reasons = self._reasons(keys) if no_time.any() else "no time"
        return [
            Problem(", ".join(self.station.columns), no_station, station, "no station"),
            Problem(", ".join(self.time.columns), no_time, keys["written"], reasons),
            *(self.forecast.problems(raw, keys) if self.forecast else ()),
            *value_problems(raw, read, readers),
            *layout_problems(raw, quoted=quoted),
        ]

    def _with_unreadable(self, others: Iterable[Problem], raw: pl.DataFrame, survey: Survey) -> list[Problem]:
        """The problems, and before them one for each column that is read, about bytes that are no text."""
        reason = f"has bytes that are not {survey.encoding}: they were damaged, or the file's encoding must be set"
        where = {name: raw[name].str.contains(UNREADABLE, literal=True).fill_null(value=False) for name in self._needed}
        unreadable = [Problem(name, where[name], raw[name], reason) for name in self._needed]
        rest = [
            replace(other, where=other.where & ~where[other.column]) if other.column in where else other
            for other in others
        ]
        return unreadable + rest

    def _reasons(self, keys: pl.DataFrame) -> pl.Series:
        """Why the time of each row cannot be read; meaningless for a row whose time can."""
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
            *INBOX_SETTINGS,
            "station_list",
            *keys_if_unset("forecast", self.forecast),
            *keys_if_unset("encoding", self.encoding),
        }
        reading = {
            "version": _READER_VERSION,
            "settings": self.model_dump(mode="json", exclude=left_out),
            "station": self.station.of_file(file_name),
            "declared": declared_units(self.columns, variables),
        }
        return fingerprint(read_blocks(stream), reading)
