"""The source of kind "csv": readings or external forecasts in CSV files of any logger or service.

`CsvSource` has the settings that tell one export from another. Each file goes through `survey_text` and `read_chunks`
(csv_table.py, where layout.py says which line is what), then stations and times (`_keys`), values (`ValueReader`) and problems.
A file with one column a station (`wide`) is first stacked into one with a row for each station; of a file with one value a row
(`tidy`) each variable reads its own rows.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import PurePath
from typing import Annotated, Any, BinaryIO, ClassVar, Literal, Self

import polars as pl
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, PrivateAttr, Tag, model_validator

from daycast.errors import ConfigError
from daycast.features.amounts import Accumulation
from daycast.sources.batch import (
    EXTERNAL_FORECAST_KEYS,
    READING_KEYS,
    Problem,
    SourceBatch,
    declared_units,
    fingerprint,
    mapping_text,
    problems_frame,
)
from daycast.sources.files.csv_table import (
    FEWER,
    Chunk,
    Survey,
    extra_columns,
    layout_problems,
    read_chunks,
    survey_text,
    value_problems,
)
from daycast.sources.files.inbox import INBOX_SETTINGS, FileChunk, Inbox, InboxFile
from daycast.sources.files.later_headers import OTHER_HEADER, FileHeader
from daycast.sources.files.layout import Layout
from daycast.sources.files.shapes import (
    STACKED,
    Tidy,
    WideColumns,
    by_station,
    stack_stations,
    stations_if_bare,
    stations_of,
)
from daycast.sources.files.sheets import as_text
from daycast.sources.files.station_list import StationList
from daycast.sources.guess.stated import doubt_units
from daycast.sources.streams import UNREADABLE, Encoding, read_blocks
from daycast.sources.tables.columns import (
    ForecastTextColumns,
    MappedTextColumns,
    StationKey,
    StationWidth,
    TextValueColumn,
    accumulations_of,
    keys_if_unset,
    padded,
    units_of,
)
from daycast.sources.tables.short_forms import Duration, Words, column_if_bare, position_of
from daycast.sources.tables.times import TimeColumn, TimeParts, Tolerance, doubt_stamps
from daycast.sources.tables.units import COMPASS, Unit, possible_units, unit_of
from daycast.sources.tables.values import RowSelection, ValueReader, read_values, strip_missing
from daycast.sources.tables.wall_clock import (
    TOLD_TWICE,
    WallClocks,
    follows_clock_changes,
    sequence_of,
    validate_timezone,
)
from daycast.stations import STATION_SCHEMA
from daycast.variables import Variable

# Raise them if equal files and settings give other readings: these are restated. The second is of sources that may read sheets.
_READER_VERSION, _SHEET_READER_VERSION = 1, 2
_TEXT = {".csv", ".txt", ".tsv", ".dat", ".gz"}  # what the names of files end in that are no sheets


def _time_tag(value: Any) -> str:
    is_text = isinstance(value, TimeColumn) or (
        isinstance(value, dict) and not value.keys().isdisjoint({"column", "columns"})
    )
    return "text" if is_text else "parts"


Time = Annotated[
    Annotated[TimeColumn, Tag("text")] | Annotated[TimeParts, Tag("parts")],
    Discriminator(_time_tag),
    BeforeValidator(column_if_bare),
]


class CsvSource(Inbox, Layout):
    """A `[[sources]]` table of kind "csv", and the Source that reads as it says.

    `Inbox` says which files are read and when, `Layout` which line is what. Paths are relative to `folder` in the validation
    context. Every row is handed over, held back or, if its variable is not mapped, counted. A row whose station or time cannot be
    read is a problem with a reason and is kept as it was written; any other such value is missing, and kept with its reason.
    """

    later: ClassVar[frozenset[str]] = Layout.later | {"thousands", "sheet", "station_width", "tidy", "wide"}

    kind: Literal["csv"] = "csv"
    encoding: Encoding | None = None  # None: detected, see streams.py
    sheet: str | Annotated[int, Field(ge=1)] | None = None  # of an .xlsx file, by name or number; None: the first
    decimal: Literal[".", ","] = "."
    thousands: Literal[".", ",", " ", "'", "\u00a0", "\u202f"] | None = None  # between groups of three digits
    missing: Words = ()  # markers besides the empty field
    timezone: Annotated[str, AfterValidator(validate_timezone)] = "UTC"  # of times without an offset
    reporting_delay: Duration = timedelta(0)
    tolerance: Tolerance = timedelta(0)
    station: Annotated[StationKey | None, BeforeValidator(column_if_bare)] = None  # not given if `wide` is
    station_width: StationWidth | None = None  # digits of station ids that are whole numbers, here and in station_list
    time: Time
    forecast: ForecastTextColumns | None = None  # rows are an external forecast, valid at `time`
    columns: MappedTextColumns = Field(default={})  # not given if `wide` is
    tidy: Tidy | None = None  # one value a row
    wide: dict[str, Annotated[WideColumns, BeforeValidator(stations_if_bare)]] = Field(
        default={}
    )  # one column a station
    station_list: StationList | None = None
    _first_header: FileHeader | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _validate_columns(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"thousands and decimal are both {self.decimal!r}")
        given = {"station": self.station, "columns": self.columns, "tidy": self.tidy}
        if self.wide and (both := [name for name, setting in given.items() if setting]):
            raise ValueError(f"wide names the stations and their columns: leave {both[0]} out")
        for name in ("station", "columns"):
            if not self.wide and not given[name]:
                raise ValueError(
                    f"{name} is missing: say where the {'station is' if name == 'station' else 'values are'}"
                )
        return self

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
        copies = len(stations_of(self.wide)) or 1
        self._accumulations(variables)  # raises before any file is read
        headers, told = set[tuple[Any, ...]](), set[str]()  # both are the same in many files
        first_headers, is_by_position = [self._first_header] if self._first_header else [], self._is_by_position

        def chunks_of(stream: BinaryIO, file: InboxFile) -> Iterator[FileChunk]:
            stream = as_text(stream, file.origin, self.sheet, self.mark, self.decimal)
            survey = survey_text(stream, file.origin, self.encoding)
            if survey.ends_mid_line and file.may_be_unfinished():
                return
            clocks, first = WallClocks(self.timezone), True
            for chunk in read_chunks(
                stream, survey, self, self.needed, file.origin, copies, dated=self.time.columns[0]
            ):
                written, doubts = (*chunk.header, *map(tuple, chunk.below)), tuple[str, ...]()
                if first and written not in headers:
                    headers.add(written)
                    doubts = tuple(self._doubt_units(chunk, variables, file.origin, told))
                if first and is_by_position:
                    header = FileHeader(file.origin, tuple(chunk.header))
                    first_headers[:] = first_headers or [header]
                    doubt = header.differs_from(first_headers[0], self.needed)
                    doubts = (*doubts, doubt) if doubt else doubts
                first = False
                make_batch = partial(
                    self._make_batch, chunk, file, (since, until), readers, variables, clocks, survey, doubts
                )
                yield FileChunk(
                    f"line {chunk.first_line:,}", chunk.last, make_batch, follows_clock_changes(self.timezone)
                )

        return self.read_files(seen, partial(self._fingerprint, variables=variables), chunks_of)

    def with_first_header(self, header: str, origin: str) -> Self:
        """The same source, for which this is the first file. header: as in SourceBatch."""
        copy = self.model_copy()
        copy._first_header = FileHeader(origin, tuple(json.loads(header)))  # noqa: SLF001 (its own class)
        return copy

    @property
    def _reader_version(self) -> int:
        may_be_sheets = any(PurePath(glob).suffix.lower() not in _TEXT for glob in self.files)
        return _SHEET_READER_VERSION if may_be_sheets else _READER_VERSION

    @property
    def _is_by_position(self) -> bool:
        """Whether a column is read by its position, below a header that the files have themselves."""
        return self.names is None and any(map(position_of, self.needed))

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA), empty if none is configured. Raises SourceError if it cannot be read."""
        if self.station_list is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return self.station_list.read(self._folder, self.missing, self.decimal, self.station_width)

    @property
    def needed(self) -> list[str]:
        """The columns that are read, each once."""
        station = self.station.columns if self.station else ()
        if self.tidy:
            values = self.tidy.columns
        elif self.wide:
            values = tuple(column for mapped in self.wide.values() for column in mapped.stations.values())
        else:
            values = tuple(mapped.column for mapped in self.columns.values())
        return list(dict.fromkeys([*station, *self._time_columns, *values]))

    @property
    def _time_columns(self) -> tuple[str, ...]:
        return (*self.time.columns, *(self.forecast.columns if self.forecast else ()))

    @property
    def mapped(self) -> Mapping[str, TextValueColumn]:
        """The column of each variable; of a file with one column a station, those of the stacked table."""
        wide = {name: mapped.model_copy(update={"column": name}) for name, mapped in self.wide.items()}
        return wide or self.columns

    @property
    def _station(self) -> StationKey:
        return self.station or StationKey(column=STACKED)

    def _accumulations(self, variables: Mapping[str, Variable]) -> dict[str, Accumulation]:
        return accumulations_of(self.name, self.mapped, variables, self.timezone, is_forecast=self.forecast is not None)

    def _readers(self, variables: Mapping[str, Variable]) -> list[ValueReader]:
        return [
            self._reader(variables[name], mapped, unit)
            for name, mapped, unit in units_of(self.name, self.mapped, variables)
        ]

    def _reader(self, variable: Variable, mapped: TextValueColumn, unit: Unit) -> ValueReader:
        selection, column = None, mapped.column
        if self.tidy is not None:
            units, is_declared = possible_units(variable), mapped.unit is not None
            selection = RowSelection(self.tidy.variable, column, self.tidy.unit, units, is_declared)
            column = self.tidy.value
        if selection is None or selection.unit_column is None:
            self._validate_strip(variable, mapped)
        return ValueReader(
            variable=variable.name,
            column=column,
            unit=unit,
            compass=mapped.unit == COMPASS,
            missing=tuple(word for word in (*self.missing, *mapped.missing) if word not in mapped.zero),
            decimal=self.decimal,
            thousands=self.thousands,
            factor=mapped.factor,
            offset=mapped.offset,
            strip=mapped.strip,
            zero=mapped.zero,
            selection=selection,
        )

    def _validate_strip(self, variable: Variable, mapped: TextValueColumn) -> None:
        """Raise ConfigError if a unit is cut off that is none of the column: 70 °F would be read as 70 °C."""
        if (mapped.factor, mapped.offset) != (1.0, 0.0):
            return
        units, (given, _) = possible_units(variable), mapped.amount_unit
        own = unit_of(variable, given)
        for mark in mapped.strip:
            other = units.get(mark.strip())
            is_flag = given is not None and len(mark.strip()) == 1
            if other and not is_flag and (other.factor, other.zero) != (own.factor, own.zero):
                read_in = given or variable.unit
                raise ConfigError(
                    f"source {self.name!r}: strip of {variable.name} cuts off {mark!r}, and its numbers are read in {read_in}: "
                    f'set unit = "{mark.strip()}" if all are in it; if some are in {read_in}, leave {mark!r} out of strip, so '
                    "that such values are reported and not misread"
                )

    def _make_batch(
        self,
        chunk: Chunk,
        file: InboxFile,
        span: tuple[datetime | None, datetime],
        readers: list[ValueReader],
        variables: Mapping[str, Variable],
        clocks: WallClocks,
        survey: Survey,
        of_header: tuple[str, ...],
    ) -> SourceBatch:
        table, left_out = self._reshaped(chunk.table)
        keys = self._keys(table, file.path.name, clocks, span[1])
        received, stamps = keys["received_at"], "issued_at" if self.forecast else "observed_at"
        held_back = (received > span[1]).fill_null(value=False)
        old = (received <= span[0]).fill_null(value=False) if span[0] else held_back
        waiting = int((held_back & (keys[stamps] > span[1])).sum())
        doubts = () if self.forecast else doubt_stamps(keys["text"], keys[stamps], span[1], self.time.as_text.counts)
        aside, raw = held_back | old, table
        if aside.any():
            raw, keys = raw.filter(~aside), keys.filter(~aside)
        read = read_values(raw, readers)
        problems = self._problems(raw, keys, quoted=survey.quoted)
        bad_values = value_problems(raw, read, readers)
        if chunk.unreadable:
            problems, bad_values = self._with_bytes(problems, bad_values, raw, survey)
        if self.wide:
            bad_values = [part for problem in bad_values for part in by_station(problem, raw[STACKED], self.wide)]
        readings = self._readings(read, keys, variables)
        for mark in {OTHER_HEADER, FEWER} & {*raw.columns}:  # what stands there is of another column
            readings = readings.select(pl.when(raw[mark].is_null()).then(pl.all()))
        return SourceBatch(
            origin=file.origin,
            fingerprint="",  # set by FileLoader
            readings=readings,
            raw=raw,
            problems=problems_frame(problems),
            bad_values=problems_frame(bad_values),
            complete=not aside.any(),
            receipt="stated" if self.forecast and self.forecast.received else "assumed",
            waiting=waiting,
            left_out=len(left_out),
            accumulations=self._accumulations(variables),
            header=json.dumps(chunk.header) if self._is_by_position else "",
            doubts=(
                *of_header,
                *chunk.doubts,
                *survey.doubt_names(keys["station_id"]),
                *clocks.take_doubts(),
                *doubts,
                *(self.tidy.doubt(left_out) if self.tidy else ()),
            ),
            tolerance=self.tolerance,
            time_format=(self.time.format or "") if isinstance(self.time, TimeColumn) else "",
        )

    def _with_bytes(
        self, problems: list[Problem], bad_values: list[Problem], raw: pl.DataFrame, survey: Survey
    ) -> tuple[list[Problem], list[Problem]]:
        """The same, and what has bytes that are not text: where a value cannot be read, that is why."""
        values = list(dict.fromkeys(problem.column for problem in bad_values))
        keys = [name for name in self._key_columns if name not in values]
        return (
            self._with_unreadable(problems, raw, survey, keys),
            self._with_unreadable(bad_values, raw, survey, values),
        )

    def _doubt_units(
        self, chunk: Chunk, variables: Mapping[str, Variable], origin: str, told: set[str]
    ) -> Iterator[str]:
        """What the header of a file says about units, each once, with the first file. `told` are the doubts so far."""
        if self.tidy:  # one column has values of all units
            return
        read = {name: (mapped, (mapped.column,)) for name, mapped in self.columns.items()}
        wide = {name: (self.mapped[name], tuple(mapped.stations.values())) for name, mapped in self.wide.items()}
        for doubt in doubt_units(wide or read, variables, chunk.table.columns.index, chunk.header, chunk.below):
            if doubt not in told:
                told.add(doubt)
                yield f"{origin}: {doubt}"

    def _reshaped(self, table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The table with a row for each station and time, and the rows of it that are left out."""
        if self.tidy is not None:
            return self.tidy.split(table, [mapped.column for mapped in self.columns.values()])
        if not self.wide:
            return table, table.clear()
        kept = [*dict.fromkeys(self._time_columns), *extra_columns(table), *({OTHER_HEADER, FEWER} & {*table.columns})]
        return stack_stations(table, self.wide, kept), table.clear()

    def _keys(self, table: pl.DataFrame, file_name: str, clocks: WallClocks, until: datetime) -> pl.DataFrame:
        """READING_KEYS or EXTERNAL_FORECAST_KEYS of every row, and the steps to its time: `written`, `text` and `wall`."""
        time, forecast = self.time.as_text, self.forecast
        if forecast is None:
            keys = self._instants(table, file_name, time, clocks, latest=until - self.reporting_delay)
            return keys.with_columns(received_at=pl.col("observed_at") + self.reporting_delay)
        # of a time that came twice, the later one: nothing is known before it was issued and received
        known = pl.coalesce("later_at", "observed_at")
        issued = self._instants(table, file_name, forecast.issued, clocks).select(known).to_series()
        received = issued + self.reporting_delay
        if forecast.received is not None:
            received = self._instants(table, file_name, forecast.received, clocks).select(known).to_series()
        keys = self._instants(table, file_name, time, clocks, issued=issued)
        valid = pl.when(pl.col("later_at").is_null()).then("observed_at")
        return keys.with_columns(valid.alias("observed_at"), valid_at=valid, issued_at=issued, received_at=received)

    def _instants(
        self,
        table: pl.DataFrame,
        file_name: str,
        time: TimeColumn,
        clocks: WallClocks,
        latest: datetime | None = None,
        issued: pl.Series | None = None,
    ) -> pl.DataFrame:
        """Station and instant (`observed_at`) of every row, as `time` says, and the steps to it.

        `later_at` is the other instant of a row whose time came twice, if nothing tells which is meant. The rows of one issue, or
        of one variable where each value has a row, are a sequence of their own.
        """
        keys = table.select(
            row=pl.int_range(pl.len()),  # a constant station alone would make a single row
            station_id=padded(self._station.read(file_name, self.missing), self.station_width),
            written=time.as_written(),
        ).with_columns(text=strip_missing(pl.col("written"), self.missing))
        instant = time.read_instants(keys["text"])
        no_time = pl.lit(None, pl.Datetime("us"))
        said_all = instant.null_count() == keys["text"].null_count()
        keys = keys.with_columns(
            instant.alias("observed_at"), wall=no_time, later_at=no_time.dt.replace_time_zone("UTC")
        )
        if not said_all:
            keys = keys.with_columns(wall=time.read_walls(keys["text"]))
            apart = "" if issued is None else issued.dt.to_string("%+")
            apart = self.tidy.variables_of(table) if self.tidy else apart
            at, later = clocks.of(*time.columns).to_utc(keys["wall"], sequence_of(keys["station_id"], apart), latest)
            keys = keys.with_columns(pl.coalesce("observed_at", at).alias("observed_at"), later_at=later)
        return keys

    def _readings(self, read: pl.DataFrame, keys: pl.DataFrame, variables: Mapping[str, Variable]) -> pl.DataFrame:
        unmapped = [pl.lit(None, pl.Float64).alias(name) for name in variables if name not in self.mapped]
        of = EXTERNAL_FORECAST_KEYS if self.forecast else READING_KEYS
        twice = [] if self.forecast or keys["later_at"].null_count() == len(keys) else ["later_at"]
        return keys.select(*of, *twice).hstack(read).with_columns(unmapped).select(*of, *twice, *variables)

    @property
    def _key_columns(self) -> tuple[str, ...]:
        variable = (self.tidy.variable,) if self.tidy else ()
        return tuple(dict.fromkeys([*self._station.columns, *self._time_columns, *variable]))

    def _problems(self, raw: pl.DataFrame, keys: pl.DataFrame, *, quoted: bool) -> list[Problem]:
        no_station, no_time = keys["station_id"].is_null(), keys["observed_at"].is_null()
        station = raw[self._station.column] if self._station.column else keys["station_id"]
        reasons = self._reasons(keys) if no_time.any() else "no time"
        return [
            Problem(", ".join(self._station.columns), no_station, station, "no station"),
            Problem(", ".join(self.time.columns), no_time, keys["written"], reasons),
            *(self.forecast.problems(raw, keys) if self.forecast else ()),
            *layout_problems(raw, quoted=quoted),
        ]

    def _with_unreadable(
        self, others: Iterable[Problem], raw: pl.DataFrame, survey: Survey, columns: Collection[str]
    ) -> list[Problem]:
        """The problems, and before them one for each of the columns, about bytes that are no text."""
        reason = f"has bytes that are not {survey.encoding}: {survey.way_out}"
        where = {name: raw[name].str.contains(UNREADABLE, literal=True).fill_null(value=False) for name in columns}
        unreadable = [Problem(name, where[name], raw[name], reason) for name in columns]
        rest = [
            replace(other, where=other.where & ~where[other.column]) if other.column in where else other
            for other in others
        ]
        return unreadable + rest

    def _reasons(self, keys: pl.DataFrame) -> pl.Series:
        """Why the time of each row cannot be read; meaningless for a row whose time can."""
        wall = pl.col("wall")
        skipped = pl.format("{} does not exist in {} on that day", wall.dt.strftime("%H:%M"), pl.lit(self.timezone))
        return keys.with_columns(reason=self.time.as_text.explain(keys["text"])).select(
            pl.when(wall.is_null()).then("reason")
            .when(pl.col("later_at").is_not_null()).then(pl.lit(TOLD_TWICE))
            .otherwise(skipped)
        ).to_series()  # fmt: skip

    def mapping(self, variables: Mapping[str, Variable]) -> str:
        """How files are read; see Source."""
        left_out = {*INBOX_SETTINGS, "name", "station_list", "tolerance"}
        settings = self.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
        return mapping_text(self._reader_version, settings, declared_units(self.mapped, variables))

    def _fingerprint(self, stream: BinaryIO, file_name: str, variables: Mapping[str, Variable]) -> str:
        left_out = {
            *INBOX_SETTINGS,
            "station_list",
            "tolerance",
            *keys_if_unset("forecast", self.forecast),
            *keys_if_unset("encoding", self.encoding),
        }
        reading = {
            "version": self._reader_version,
            "settings": self.model_dump(mode="json", exclude=left_out),
            "station": self._station.of_file(file_name),
            "declared": declared_units(self.mapped, variables),
        }
        return fingerprint(read_blocks(stream), reading)
