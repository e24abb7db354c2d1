"""The settings that say which column holds what: values, the station, and the issue time of an external forecast.

The columns of observation times are in times.py.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Self, TypeVar

import polars as pl
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from daycast.errors import ConfigError, SourceError, did_you_mean
from daycast.features.amounts import Accumulation, CalendarReset, CellMethod
from daycast.sources.batch import Problem
from daycast.sources.tables.short_forms import ColumnName, Words, column_if_bare
from daycast.sources.tables.times import InstantColumn, TimeColumn
from daycast.sources.tables.units import COMPASS, Unit, unit_of
from daycast.sources.tables.values import strip_missing
from daycast.variables import Variable


class GrownSettings(BaseModel):
    """Settings that grew: a field of `later` is left out of a dump while it has its default.

    So the fingerprints of what was read stay as they were before the field existed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {
            name: value
            for name, value in dump(self).items()
            if name not in self.later or getattr(self, name) != fields[name].default
        }


_EVERY = {"daily": "1d", "monthly": "1mo", "yearly": "1y"}
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def _validate_resets(text: str) -> str:
    if text not in _EVERY and not _TIME_OF_DAY.fullmatch(text):
        raise ValueError(
            f'{text!r} says no reset: write "daily", "monthly", "yearly", or the time of day, for example "09:00"'
        )
    return text


def _calendar_reset(resets: str, zone: str) -> CalendarReset:
    """What a setting `resets` says, by the clocks of `zone`."""
    at = _TIME_OF_DAY.fullmatch(resets)
    after = timedelta(hours=int(at[1]), minutes=int(at[2])) if at else timedelta(0)
    return CalendarReset(_EVERY.get(resets, "1d"), after, zone)


class ValueColumn(GrownSettings):
    """The column of one variable; without `unit` its values are in the variable's own.

    A number stands for `number * factor + offset` in that unit: 0.1 where a file has tenths. `cell_method` says what numbers are
    that are no amount since the row before: of rain, sunshine and other sums.
    """

    later: ClassVar[frozenset[str]] = frozenset(
        {"factor", "offset", "cell_method", "rollover", "resets", "reset_minute"}
    )

    column: ColumnName
    unit: str | None = None
    factor: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    offset: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    cell_method: CellMethod | None = None
    rollover: Annotated[float, Field(gt=0)] | None = (
        None  # where a counter begins again with 0, as the column writes it
    )
    resets: Annotated[str, AfterValidator(_validate_resets)] | None = (
        None  # "daily", "monthly", "yearly", or a time of day such as "09:00"; unset: whenever a counter falls
    )
    reset_minute: Annotated[int, Field(ge=0, le=59)] | None = None  # the last minute of a running hour

    @model_validator(mode="after")
    def _validate_factor(self) -> Self:
        if self.factor == 0:
            raise ValueError("factor 0 would make every value the same: leave it out, or give another")
        if self.unit == COMPASS and (self.factor, self.offset) != (1.0, 0.0):
            raise ValueError("the points of the compass are no numbers: leave factor and offset out")
        return self

    @model_validator(mode="after")
    def _validate_cell_method(self) -> Self:
        for setting, method in (("rollover", "counter"), ("resets", "counter"), ("reset_minute", "running_hour")):
            if getattr(self, setting) is not None and self.cell_method != method:
                raise ValueError(f'{setting} is for cell_method = "{method}": leave it out, or set that')
        return self

    @property
    def amount_unit(self) -> tuple[str | None, float]:
        """The unit without the time of a rate, and how many of this time make an hour: ("in", 60) for in/min."""
        found = _RATE.match(self.unit) if self.unit and self.cell_method == "rate" else None
        return (found[1], _IN_AN_HOUR[found[2]]) if found else (self.unit, 1.0)


class TextValueColumn(ValueColumn):
    """A column of text; what its cells may hold beside a number."""

    later: ClassVar[frozenset[str]] = ValueColumn.later | {"strip", "missing", "zero"}

    strip: Words = ()  # marks and units behind a number, which are cut off
    missing: Words = ()  # markers of a missing value, besides those of the source
    zero: Words = ()  # words and numbers that stand for 0, such as T for a trace of rain


_IN_AN_HOUR = {"h": 1.0, "hr": 1.0, "hour": 1.0, "min": 60.0, "s": 3600.0}
_RATE = re.compile(rf"(.+?) ?/ ?({'|'.join(_IN_AN_HOUR)})$")

# by variable
MappedColumns = Annotated[dict[str, Annotated[ValueColumn, BeforeValidator(column_if_bare)]], Field(min_length=1)]
MappedTextColumns = dict[str, Annotated[TextValueColumn, BeforeValidator(column_if_bare)]]


Column = TypeVar("Column", bound=ValueColumn)


def units_of(
    source: str, columns: Mapping[str, Column], variables: Mapping[str, Variable]
) -> Iterator[tuple[str, Column, Unit]]:
    """Each mapped variable with its column and the unit to convert it from.

    Raises ConfigError naming the source, and a variable that does not exist or a unit that cannot be converted.
    """
    for name, mapped in columns.items():
        if name not in variables:
            matches = did_you_mean(name, variables)
            raise ConfigError(
                f"source {source!r}: {name!r} is not a variable{matches}; there are: {', '.join(variables)}"
            )
        unit_name, in_an_hour = mapped.amount_unit
        try:
            unit = unit_of(variables[name], unit_name)
        except ConfigError as error:
            raise ConfigError(
                f"source {source!r}: {error}; for any other leave unit out and give factor and offset"
            ) from None
        yield name, mapped, unit if in_an_hour == 1.0 else replace(unit, factor=unit.factor * in_an_hour)


def accumulations_of(
    source: str, columns: Mapping[str, ValueColumn], variables: Mapping[str, Variable], zone: str, *, is_forecast: bool
) -> dict[str, Accumulation]:
    """The mapped variables whose numbers are no amounts since the row before, and what they are; `zone` is the source's.

    Raises ConfigError naming the source and a variable that is no sum, or any if the rows are an external forecast.
    """
    found = {}
    for name, mapped, unit in units_of(source, columns, variables):
        if mapped.cell_method is None:
            continue
        given = f'source {source!r}: cell_method = "{mapped.cell_method}" of {name}'
        if variables[name].cell_method != "sum":
            raise ConfigError(
                f"{given}: it makes sums, and {name} is none; leave it out, or map a variable that is a sum"
            )
        if is_forecast:
            raise ConfigError(f"{given}: an external forecast needs amounts of each hour; leave it out")
        rollover = None if mapped.rollover is None else mapped.rollover * abs(mapped.factor) * unit.factor
        read_as = mapped.model_dump_json(include={"cell_method", "unit", "factor", "offset"})
        resets = None if mapped.resets is None else _calendar_reset(mapped.resets, zone)
        found[name] = Accumulation(
            f"{mapped.column} {read_as}", mapped.cell_method, rollover, mapped.reset_minute, resets
        )
    return found


class ForecastTextColumns(BaseModel):
    """Columns of text with the times of an external forecast; without `received`, the receipt is issued + reporting_delay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issued: Annotated[TimeColumn, BeforeValidator(column_if_bare)]
    received: Annotated[TimeColumn | None, BeforeValidator(column_if_bare)] = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (*self.issued.columns, *(self.received.columns if self.received else ()))

    def problems(self, raw: pl.DataFrame, keys: pl.DataFrame) -> list[Problem]:
        """The rows whose time of issue, or of receipt, cannot be read; `keys` has issued_at and received_at."""
        read = [(self.issued, "issued_at"), *([(self.received, "received_at")] if self.received else [])]
        found = []
        for time, key in read:
            where, written = keys[key].is_null(), raw.select(time.as_written()).to_series()
            if where.any():
                found.append(Problem(", ".join(time.columns), where, written, time.explain(written)))
        return found


class ForecastInstantColumns(BaseModel):
    """Typed columns with the times of an external forecast; `received` is a column of timestamps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issued: Annotated[InstantColumn, BeforeValidator(column_if_bare)]
    received: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.issued.column, *([self.received] if self.received else []))


def padded(station: pl.Expr, width: int | None) -> pl.Expr:
    """The station ids, those that are whole numbers with zeros in front up to `width` digits; unchanged if `width` is None.

    "5480" and "5480.0" become "05480" if `width` is 5: spreadsheets and data frames take zeros away and add decimals.
    """
    if width is None:
        return station
    number = station.str.extract(r"^(\d+)(?:\.0*)?$", 1)
    return pl.coalesce(number.str.zfill(width), station)


StationWidth = Annotated[int, Field(ge=1, le=32)]


def keys_if_unset(name: str, setting: object) -> Collection[str]:
    """The key of a setting that is unset, as a collection; empty if it is set.

    Fingerprints leave such keys out, so that they stay the same as before the setting existed.
    """
    return () if setting else (name,)


def _validate_pattern(pattern: str) -> str:
    """Return the regular expression if it has exactly one group and needs no backtracking; raise ValueError if not."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"{pattern!r} needs exactly one group (…) around the station, but has {groups}")
    try:
        _extract(pattern, "")
    except pl.exceptions.ComputeError:
        raise ValueError(f"{pattern!r} looks around or back, which takes too long on some names: do without") from None
    return pattern


def _extract(pattern: str, text: str) -> str | None:
    """What the group of the pattern holds; None if nothing matches. In time linear in the text, unlike `re` of Python."""
    found: str | None = pl.Series([text]).str.extract(pattern, 1).item()
    return found


class StationKey(BaseModel):
    """Where the station's name is: in a column, in the file's name (a regular expression with one group), or a constant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: ColumnName | None = None
    file_name: Annotated[str, AfterValidator(_validate_pattern)] | None = None
    constant: str | None = None

    @model_validator(mode="after")
    def _validate_one(self) -> "StationKey":
        given = [field for field in (self.column, self.file_name, self.constant) if field]
        if len(given) != 1:
            raise ValueError("give exactly one of column, file_name and constant")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.column,) if self.column else ()

    def of_file(self, file_name: str) -> str | None:
        """The station of a whole file, None if a column names it. Raises SourceError if the file's name does not match."""
        if self.file_name is None:
            return self.constant
        station = _extract(self.file_name, file_name)
        if not station:
            raise SourceError(f"{file_name}: the name does not match {self.file_name!r}, so its station is unknown")
        return station

    def read(self, file_name: str, missing: tuple[str, ...]) -> pl.Expr:
        """The station of each row, null where the column has none. Raises SourceError if the file's name does not match."""
        return (
            strip_missing(pl.col(self.column), missing) if self.column else pl.lit(self.of_file(file_name), pl.String)
        )
