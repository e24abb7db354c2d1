"""Readings from a table whose columns have types: what Parquet files and query results have in common.

`TypedTable` has the settings and `read`, which turns rows into the parts of a SourceBatch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import polars as pl
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from daycast.errors import SourceError, did_you_mean, listed
from daycast.features.amounts import Accumulation
from daycast.sources.batch import EXTERNAL_FORECAST_KEYS, READING_KEYS, Problem, problems_frame
from daycast.sources.files.station_list import StationList
from daycast.sources.guess.stated import doubt_units
from daycast.sources.tables.columns import ForecastInstantColumns, MappedColumns, StationKey, accumulations_of, units_of
from daycast.sources.tables.short_forms import Duration, column_if_bare, list_if_bare
from daycast.sources.tables.times import (
    InstantColumn,
    Tolerance,
    doubt_stamps,
    explain_no_instant,
    time_as_text,
    to_instants,
    writable,
)
from daycast.sources.tables.units import COMPASS
from daycast.sources.tables.values import TypedReader, is_text
from daycast.sources.tables.wall_clock import Instants, WallClocks, sequence_of, validate_timezone
from daycast.times import UTC_TIME
from daycast.variables import Variable


@dataclass(frozen=True)
class TypedRows:
    """The rows of the span that was asked for, as the parts of a SourceBatch."""

    readings: pl.DataFrame
    raw: pl.DataFrame
    problems: pl.DataFrame
    bad_values: pl.DataFrame
    complete: bool  # whether no row was left out
    waiting: int  # rows left out that are stamped later than the span
    doubts: tuple[str, ...]  # what is odd about their times


class TypedTable(BaseModel):
    """The settings that say what the columns of a typed table are.

    Missing values are null, not a number (NaN), or one of the numbers `missing`. A value that cannot be read, such as
    infinity or text where a number belongs, is a problem of its row. A column whose type cannot hold such values at all is a
    SourceError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    missing: Annotated[tuple[float, ...], BeforeValidator(list_if_bare)] = ()
    timezone: Annotated[str, AfterValidator(validate_timezone)] = "UTC"  # of timestamps without a zone
    reporting_delay: Duration = timedelta(0)
    tolerance: Tolerance = timedelta(0)
    station: Annotated[StationKey, BeforeValidator(column_if_bare)]
    time: Annotated[InstantColumn, BeforeValidator(column_if_bare)]
    forecast: ForecastInstantColumns | None = None  # rows are an external forecast, valid at `time`
    columns: MappedColumns  # variable = its column, and its unit where that is not daycast's; other columns are ignored
    station_list: StationList | None = None

    def readers(self, variables: Mapping[str, Variable]) -> list[TypedReader]:
        """A reader for each mapped variable. Raises ConfigError for a variable, unit or cell method that does not fit."""
        self.accumulations(variables)
        return [
            TypedReader(name, mapped.column, unit, mapped.unit == COMPASS, self.missing, mapped.factor, mapped.offset)
            for name, mapped, unit in units_of(self.name, self.columns, variables)
        ]

    def accumulations(self, variables: Mapping[str, Variable]) -> dict[str, Accumulation]:
        """The mapped variables whose numbers are no amounts. Raises ConfigError for a variable that is no sum."""
        return accumulations_of(
            self.name, self.columns, variables, self.timezone, is_forecast=self.forecast is not None
        )

    @property
    def needed(self) -> list[str]:
        """The columns that are read, each once."""
        values = (mapped.column for mapped in self.columns.values())
        issue = self.forecast.columns if self.forecast else ()
        return list(dict.fromkeys([*self.station.columns, self.time.column, *issue, *values]))

    def read(
        self,
        table: pl.DataFrame,
        station: str | None,
        received: str | None,
        span: tuple[datetime | None, datetime],
        variables: Mapping[str, Variable],
        origin: str,
        clocks: WallClocks,
    ) -> TypedRows:
        """The rows received in `span` (since, until], and those without a time.

        `station` is the station of all rows, None if a column names it. `received` is the column with the receipt, None if
        it is assumed to be `reporting_delay` after the observation. `clocks` are the same objects for all chunks of a
        source. Raises SourceError naming `origin` and a column of an impossible type.
        """
        since, until = span
        keys = self._keys(table, station, received, until, origin, clocks)
        late = (keys["received_at"] > until).fill_null(value=False)
        inside = ~late if since is None else ~late & ~(keys["received_at"] <= since).fill_null(value=False)
        waiting = int((late & (keys["issued_at" if self.forecast else "observed_at"] > until)).sum())
        doubts = () if self.forecast else self._doubt_stamps(table, keys, until)
        table, keys = table.filter(inside), keys.filter(inside)
        readers = self.readers(variables)
        for reader in readers:
            reader.validate(table.schema[reader.column], origin)
        values = table.select(reader.value(table.schema[reader.column]) for reader in readers)
        unmapped = [pl.lit(None, pl.Float64).alias(name) for name in variables if name not in self.columns]
        of = list(EXTERNAL_FORECAST_KEYS if self.forecast else READING_KEYS)
        if not self.forecast and keys["later_at"].null_count() < len(keys):
            of.append("later_at")
        return TypedRows(
            readings=keys.hstack(values).with_columns(unmapped).select(*of, *variables),
            raw=table.select(writable(column) for column in table),
            problems=problems_frame(self._problems(table, keys, received)),
            bad_values=problems_frame(_bad_values(table, readers)),
            complete=bool(inside.all()),
            waiting=waiting,
            doubts=(*self._doubt_units(table.columns, variables), *clocks.take_doubts(), *doubts),
        )

    def _doubt_units(self, names: list[str], variables: Mapping[str, Variable]) -> Iterator[str]:
        columns = {name: (mapped, (mapped.column,)) for name, mapped in self.columns.items()}
        return doubt_units(columns, variables, names.index, names)

    def _keys(
        self,
        table: pl.DataFrame,
        station: str | None,
        received: str | None,
        until: datetime,
        origin: str,
        clocks: WallClocks,
    ) -> pl.DataFrame:
        """READING_KEYS of every row, and EXTERNAL_FORECAST_KEYS too if the rows are a forecast.

        `later_at` is the other instant of a row whose time came twice, if nothing tells which is meant.
        """
        stations = self._stations(table, station, origin)

        def instants(of: InstantColumn, keys: pl.Series = stations, latest: pl.Series | None = None) -> Instants:
            return to_instants(table[of.column], of.epoch, clocks.of(of.column), keys, origin, latest)

        def known(of: InstantColumn) -> pl.Series:
            """Of a time that came twice, the later one: nothing is known before it was issued and received."""
            at, later = instants(of)
            return at.zip_with(later.is_null(), later)

        stated = None if received is None else known(InstantColumn(column=received))
        if self.forecast is None:
            latest = pl.repeat(until - self.reporting_delay, table.height, dtype=UTC_TIME, eager=True)
            observed, later = instants(self.time, latest=latest if stated is None else stated)
            receipts = observed + self.reporting_delay if stated is None else stated.set(observed.is_null(), None)
            keys = pl.DataFrame([stations, observed, receipts], schema=list(READING_KEYS))
            return keys.with_columns(later_at=later)
        issued = known(self.forecast.issued)
        valid, later = instants(self.time, sequence_of(stations, issued.dt.to_string("%+")))
        valid = valid.set(later.is_not_null(), None)
        keys = pl.DataFrame(
            [stations, valid, issued + self.reporting_delay if stated is None else stated], schema=list(READING_KEYS)
        )
        return keys.with_columns(issued_at=issued, valid_at="observed_at", later_at=later)

    def _doubt_stamps(self, table: pl.DataFrame, keys: pl.DataFrame, until: datetime) -> Iterable[str]:
        return doubt_stamps(table[self.time.column], keys["observed_at"], until, self.time.epoch)

    def _stations(self, table: pl.DataFrame, station: str | None, origin: str) -> pl.Series:
        if self.station.column is None:
            return pl.repeat(station, table.height, dtype=pl.String, eager=True)
        column = table[self.station.column]
        whole = column.dtype.is_integer() or (isinstance(column.dtype, pl.Decimal) and column.dtype.scale == 0)
        if not (whole or is_text(column.dtype) or column.dtype == pl.Null):
            raise SourceError(
                f"{origin}: column {column.name!r} is of type {column.dtype}, but a station must be text or a whole number"
            )
        text = column.cast(pl.String).str.strip_chars()
        return text.set((text == "").fill_null(value=False), None)

    def _problems(self, table: pl.DataFrame, keys: pl.DataFrame, received: str | None) -> Iterator[Problem]:
        """The problems of the rows; a column is converted to text only if it has one, because that is slow."""
        no_station, no_time = keys["station_id"].is_null(), keys["observed_at"].is_null()
        if no_station.any():
            column = self.station.column or ""
            yield Problem(column, no_station, table[column].cast(pl.String), "no station")
        instants = [(self.time.column, self.time.epoch, no_time)]
        if self.forecast is not None:
            instants.append((self.forecast.issued.column, self.forecast.issued.epoch, keys["issued_at"].is_null()))
        if received is not None:
            instants.append((received, None, keys["received_at"].is_null() & ~no_time))
        for column, epoch, where in instants:
            if where.any():
                reasons = explain_no_instant(table[column], epoch, self.timezone, keys["later_at"].is_not_null())
                yield Problem(column, where, time_as_text(table[column]), reasons)


def _bad_values(table: pl.DataFrame, readers: list[TypedReader]) -> Iterator[Problem]:
    """The values that cannot be read; a column is converted to text only if it has one, because that is slow."""
    for reader in readers:
        dtype = table.schema[reader.column]
        where = table.select(reader.unreadable(dtype)).to_series()
        if where.any():
            yield Problem(reader.column, where, table[reader.column].cast(pl.String), reader.reason(dtype))


def validate_columns(needed: list[str], available: list[str], origin: str) -> None:
    """Raise SourceError naming a needed column that does not exist, or exists more than once."""
    for column in needed:
        if column not in available:
            raise SourceError(
                f"{origin} has no column {column!r}{did_you_mean(column, available)}; it has: {listed(available)}"
            )
        if available.count(column) > 1:
            raise SourceError(f"{origin} has more than one column {column!r}; so it is unclear which one is meant")
