"""Tables of other shapes than a row for each station and time: one value a row (`Tidy`), or one column a station (`WideColumns`).

Both become tables of the usual shape before anything of them is read: `Tidy.split` leaves out rows of variables that are not
mapped, `stack_stations` makes a row for each station.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from daycast.sources.batch import Problem
from daycast.sources.tables.columns import TextValueColumn
from daycast.sources.tables.short_forms import ColumnName, Words

STACKED = "station"  # the column of stations of a table that was stacked
_SHOWN = 5  # names in a doubt


class Tidy(BaseModel):
    """The columns of a file with one value a row; the columns of the source are then what `variable` says of each variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variable: ColumnName
    value: ColumnName
    unit: ColumnName | None = None  # of each value; where it is empty, the unit of the variable's column
    ignore: Words = ()  # what `variable` says of rows that are left out without a word

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.variable, self.value, *([self.unit] if self.unit else []))

    def variables_of(self, table: pl.DataFrame) -> pl.Series:
        """What each row is a value of."""
        return table[self.variable].str.strip_chars()

    def split(self, table: pl.DataFrame, mapped: Collection[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows of the variables that are mapped, and the rows that are left out."""
        is_mapped = self.variables_of(table).is_in(list(mapped)).fill_null(value=False)
        return (table, table.clear()) if is_mapped.all() else (table.filter(is_mapped), table.filter(~is_mapped))

    def doubt(self, left_out: pl.DataFrame) -> tuple[str, ...]:
        """One line about rows that are left out, unless that is meant."""
        names = self.variables_of(left_out).fill_null("").unique().sort()
        unknown = [name for name in names if name not in self.ignore]
        if not unknown:
            return ()
        shown = ", ".join(repr(name) for name in unknown[:_SHOWN]) + (" …" if len(unknown) > _SHOWN else "")
        return (
            f"rows whose {self.variable} is {shown} are left out: map them in columns, or list them in tidy.ignore",
        )


class WideColumns(TextValueColumn):
    """The columns of one variable in a file with one column a station, by station."""

    column: ColumnName = Field(default="", exclude=True)  # of the stacked table, see CsvSource.mapped
    stations: Annotated[dict[str, ColumnName], Field(min_length=1)]

    @model_validator(mode="after")
    def _validate_column(self) -> Self:
        if self.column:
            raise ValueError(f"wide has no column {self.column!r}: give each station its own in stations")
        return self


def stations_if_bare(value: Any) -> Any:
    """`{"stations": value}` if `value` maps stations to columns without more."""
    bare = isinstance(value, dict) and not isinstance(value.get("stations"), dict)
    return {"stations": value} if bare else value


def stations_of(wide: Mapping[str, WideColumns]) -> list[str]:
    """The stations of a file with one column a station, each once."""
    return list(dict.fromkeys(station for mapped in wide.values() for station in mapped.stations))


def stack_stations(table: pl.DataFrame, wide: Mapping[str, WideColumns], kept: Sequence[str]) -> pl.DataFrame:
    """The rows of a file with one column a station, once for each station: `kept` columns, STACKED, a column a variable."""
    return pl.concat(table.select(*kept, *_of_station(station, wide)) for station in stations_of(wide))


def by_station(problem: Problem, stations: pl.Series, wide: Mapping[str, WideColumns]) -> Iterator[Problem]:
    """The parts of a problem of one variable of a stacked table, each with the column of its station in the file."""
    for station, column in wide[problem.column].stations.items():
        yield replace(problem, column=column, where=problem.where & (stations == station))


def _of_station(station: str, wide: Mapping[str, WideColumns]) -> Iterator[pl.Expr]:
    yield pl.repeat(station, pl.len(), dtype=pl.String).alias(STACKED)
    for name, mapped in wide.items():
        column = mapped.stations.get(station)
        yield (pl.col(column) if column else pl.repeat(None, pl.len(), dtype=pl.String)).alias(name)
