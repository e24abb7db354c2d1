"""From one column to one variable in daycast's unit: `ValueReader` reads columns of text, `TypedReader` columns of numbers.

`read_values` reads a table of text by many readers at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, Self

import polars as pl

from daycast.errors import SourceError
from daycast.sources.tables.units import UNITS, Unit, compass_to_degrees, says_no_direction


def strip_missing(text: pl.Expr, missing: Sequence[str]) -> pl.Expr:
    """The text without surrounding blanks; null where it is empty or one of the markers `missing`."""
    stripped = text.str.strip_chars()
    return pl.when(~stripped.is_in(["", *missing])).then(stripped)


Wanted = Literal["time", "epoch", "value"]


class WrongTypeError(SourceError):
    """A typed column holds something else than what is read from it."""

    column: str
    dtype: pl.DataType
    wanted: Wanted

    @classmethod
    def of(cls, column: str, dtype: pl.DataType, wanted: Wanted, reason: str, origin: str) -> Self:
        """The error of a column of this type, with the reason in words."""
        error = cls(f"{origin}: column {column!r} is of type {dtype}, {reason}")
        error.column, error.dtype, error.wanted = column, dtype, wanted
        return error


_MINUS = "\u2212"  # the typographic one


def parse_number(text: pl.Expr, decimal: str, thousands: str | None = None) -> pl.Expr:
    """The finite number that `text` shows, with `decimal` as its decimal mark; null for anything else. U+2212 is a minus, too.

    `thousands` may stand between groups of three digits, and nowhere else: with a comma, 1,013.2 is read and 1,5 is not.
    """
    text = text.map_batches(_with_hyphens, pl.String, is_elementwise=True)
    if thousands is not None:
        mark, point = pl.escape_regex(thousands), pl.escape_regex(decimal)
        grouped = text.str.contains(rf"^[+-]?\d{{1,3}}(?:{mark}\d{{3}})+(?:{point}\d*)?$")
        plain = ~text.str.contains(thousands, literal=True)
        text = pl.when(grouped | plain).then(text.str.replace_all(thousands, "", literal=True))
    if decimal != ".":
        text = pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(decimal, ".", literal=True))
    number = text.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def _with_hyphens(text: pl.Series) -> pl.Series:
    """The text with a hyphen in place of a minus at its beginning. Hardly any has one, so that a search is quicker."""
    if not text.str.starts_with(_MINUS).any():
        return text
    return text.str.replace(f"^{_MINUS}", "-")


_MARKS = (",", ".", "'", " ", "\u00a0", "\u202f")  # between groups of three digits


def _other_marks(text: pl.Expr, decimal: str, thousands: str | None) -> pl.Expr:
    """The settings under which `text` is a number, in words, where its decimal or thousands marks are others; else null."""
    found = []
    for point in (decimal, "," if decimal == "." else "."):
        settings = [] if point == decimal else [f'decimal = "{point}"']
        for mark in (mark for mark in _MARKS if mark not in {point, thousands}):
            groups = rf"^[+-]?\d{{1,3}}(?:{pl.escape_regex(mark)}\d{{3}})+{pl.escape_regex(point)}\d+$"
            found.append((groups, "set " + " and ".join([*settings, f'thousands = "{mark}"'])))
    other = "," if decimal == "." else "."
    if thousands != other:
        either = f'set decimal = "{other}", or thousands = "{other}" if it marks thousands'
        found.append((rf"^[+-]?[1-9]\d{{0,2}}{pl.escape_regex(other)}\d{{3}}$", either))
        found.append((rf"^[+-]?\d+{pl.escape_regex(other)}\d+$", f'set decimal = "{other}"'))
        found.append((rf"^[+-]?\d{{1,3}}(?:{pl.escape_regex(other)}\d{{3}})+$", f'set thousands = "{other}"'))
    told = [pl.when(text.str.contains(pattern)).then(pl.lit(words)) for pattern, words in found]
    return pl.coalesce(told)


def _unit_behind(text: pl.Expr, strip: Sequence[str]) -> pl.Expr:
    """The settings under which `text` is a number, in words, where something like a unit stands behind it; else null."""
    mark = text.str.extract(rf"^[+\-{_MINUS}]?\d+(?:[.,]\d+)?\s*([^\d\s.,;:/-][^\d\s]{{0,7}})$")
    marks = "".join(f'"{one}", ' for one in strip)
    cut = pl.format('set strip = [{}"{}"]', pl.lit(marks), mark)
    return (
        pl.when(mark.is_in(list(UNITS)))
        .then(pl.format('{}, and unit = "{}" if the whole column is in it', cut, mark))
        .otherwise(cut)
    )


@dataclass(frozen=True, slots=True)
class RowSelection:
    """Which rows of a column hold a variable, and in which unit each: of a file with one value a row."""

    column: str  # names the variable of each row
    name: str  # what it says of this variable
    unit_column: str | None  # names the unit of each row; where it is empty, the reader's unit holds
    units: Mapping[str, Unit]  # that are possible
    is_declared: bool = True  # the reader's unit: else it holds only where no row names a different one

    @property
    def rows(self) -> pl.Expr:
        """True for the rows that hold the variable."""
        return pl.col(self.column).str.strip_chars().eq_missing(self.name)

    def to_daycast(self, number: pl.Expr, otherwise: Unit) -> pl.Expr:
        """`number` converted from the unit of its row; null where that unit is not possible."""
        if self.unit_column is None:
            return otherwise.to_daycast(number)
        written = self._unit()
        zero, factor = (
            written.replace_strict(
                {name: getattr(unit, part) for name, unit in self.units.items()}, default=None, return_dtype=pl.Float64
            )
            for part in ("zero", "factor")
        )
        alone = pl.when(~self._is_unstated()).then(otherwise.to_daycast(number))
        return pl.when(written.is_null()).then(alone).otherwise((number - zero) * factor)

    def unknown_unit(self) -> pl.Expr:
        """True for the rows of the variable whose unit is not possible."""
        if self.unit_column is None:
            return pl.lit(value=False)
        written = self._unit()
        return self.rows & written.is_not_null() & ~written.is_in(list(self.units)).fill_null(value=False)

    def unstated_unit(self) -> pl.Expr:
        """True for the rows of the variable without a unit though other rows name one that differs, and none is declared."""
        return self._is_unstated() & self.rows

    def _is_unstated(self) -> pl.Expr:
        if self.unit_column is None or self.is_declared:
            return pl.lit(value=False)
        own = [name for name, unit in self.units.items() if (unit.factor, unit.zero) == (1.0, 0.0)]
        written = self._unit()
        return written.is_null() & (self.rows & ~written.is_in(own)).fill_null(value=False).any()

    def _unit(self) -> pl.Expr:
        return strip_missing(pl.col(self.unit_column or ""), ())


@dataclass(frozen=True, slots=True)
class ValueReader:
    """Reads one variable from one column of text.

    A number is `number * factor + offset` in `unit`. What is in `strip` is cut off behind it; what is in `zero` stands for 0.
    """

    variable: str
    column: str
    unit: Unit
    compass: bool
    missing: tuple[str, ...]
    decimal: str
    thousands: str | None = None
    factor: float = 1.0
    offset: float = 0.0
    strip: tuple[str, ...] = ()
    zero: tuple[str, ...] = ()
    selection: RowSelection | None = None  # None: every row

    def text(self) -> pl.Expr:
        """The text of the column in the rows of the variable, null where it says that there is none."""
        text = pl.col(self.column)
        if self.strip:
            marks = "|".join(pl.escape_regex(mark) for mark in sorted(self.strip, key=len, reverse=True))
            bare, kept = text.str.strip_chars(), [*self.missing, *self.zero]
            text = pl.when(bare.is_in(kept)).then(bare).otherwise(bare.str.replace(rf"(?:\s*(?:{marks}))+$", ""))
        text = strip_missing(text, self.missing)
        return text if self.selection is None else pl.when(self.selection.rows).then(text)

    def number(self, text: pl.Expr) -> pl.Expr:
        """The number that `text` shows, null where it shows none."""
        if self.compass:
            return compass_to_degrees(text)
        number = parse_number(text, self.decimal, self.thousands)
        return pl.when(text.is_in(self.zero)).then(0.0).otherwise(number) if self.zero else number

    def value(self, number: pl.Expr) -> pl.Expr:
        """The variable [its unit] of `number`, null where that marks a missing value."""
        if markers := self._as_numbers(self.missing):
            number = pl.when(~number.is_in(markers)).then(number)
        if zeros := self._as_numbers(self.zero):
            number = pl.when(number.is_in(zeros)).then(0.0).otherwise(number)
        if (self.factor, self.offset) != (1.0, 0.0):
            number = number * self.factor + self.offset
        if self.selection is None:
            return self.unit.to_daycast(number)
        return self.selection.to_daycast(number, self.unit)

    def unreadable(self, text: pl.Expr, number: pl.Expr) -> pl.Expr:
        """True where `text` is neither a value nor a way to say that there is none."""
        no_direction = says_no_direction(text) if self.compass else pl.lit(value=False)
        return text.is_not_null() & number.is_null() & ~no_direction

    @property
    def unreadable_name(self) -> str:
        """The name of the column of `read_values` that says where the text is unreadable."""
        return f"{self.variable} unreadable"

    def unstated_unit(self) -> pl.Expr:
        """True where there is a value whose unit is not said, though other rows of the variable have a different one."""
        if self.selection is None:
            return pl.lit(value=False)
        return self.selection.unstated_unit() & self.text().is_not_null()

    @property
    def reason(self) -> str:
        """What is wrong with unreadable text."""
        return "no point of the compass" if self.compass else "no finite number"

    def explain(self, raw: pl.DataFrame) -> pl.Series:
        """What is wrong with each text of `raw` that is unreadable, with the marks to set where it is a number with others."""
        plain = pl.repeat(self.reason, pl.len())
        if self.compass:
            return raw.select(plain.alias("reason")).to_series()
        hint = pl.coalesce(
            _other_marks(self.text(), self.decimal, self.thousands), _unit_behind(self.text(), self.strip)
        )
        return raw.select(reason=pl.coalesce(pl.format("{}: {}", plain, hint), plain)).to_series()

    def _as_numbers(self, markers: Sequence[str]) -> list[float]:
        """The markers as numbers, so that -9999 also marks -9999.0."""
        if self.compass:
            return []
        numbers = (_float_or_none(marker.replace(self.decimal, ".")) for marker in markers)
        return [number for number in numbers if number is not None and isfinite(number)]


def read_values(table: pl.DataFrame, readers: Sequence[ValueReader]) -> pl.DataFrame:
    """The variable of each reader, null where missing or unreadable, and a column `unreadable_name` that is true there.

    One step after the other: as a single expression, the text would be stripped and parsed anew wherever it is used.
    """
    texts = table.select(reader.text().alias(reader.variable) for reader in readers)
    numbers = texts.select(reader.number(pl.col(reader.variable)).alias(reader.variable) for reader in readers)
    made: list[pl.Expr] = []
    for reader in readers:
        text, number = (pl.lit(frame[reader.variable]) for frame in (texts, numbers))
        made += [
            reader.value(number).alias(reader.variable),
            reader.unreadable(text, number).alias(reader.unreadable_name),
        ]
    return table.select(made)


def _float_or_none(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def is_text(dtype: pl.DataType) -> bool:
    """Whether values of this type are text."""
    return dtype in (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True, slots=True)
class TypedReader:
    """Reads one variable from one column of numbers, or of compass points. See ValueReader for factor and offset."""

    variable: str
    column: str
    unit: Unit
    compass: bool
    missing: tuple[float, ...]
    factor: float = 1.0
    offset: float = 0.0

    def validate(self, dtype: pl.DataType, origin: str) -> None:
        """Raise SourceError naming the column if its type holds neither numbers nor text.

        Text in a column of numbers is accepted here and reported row by row.
        """
        if not (dtype.is_numeric() or is_text(dtype) or dtype == pl.Null):
            wanted = "points of the compass" if self.compass else "numbers"
            raise WrongTypeError.of(self.column, dtype, "value", f"but {self.variable} needs {wanted}", origin)

    def value(self, dtype: pl.DataType) -> pl.Expr:
        """The variable [daycast's unit], null where missing or unreadable; `dtype` is the column's type."""
        number = self._number(dtype)
        for marker in self.missing:
            number = pl.when(number != marker).then(number)
        if (self.factor, self.offset) != (1.0, 0.0):
            number = number * self.factor + self.offset
        return self.unit.to_daycast(number).alias(self.variable)

    def unreadable(self, dtype: pl.DataType) -> pl.Expr:
        """True where there is something that is neither a value nor a way to say that there is none."""
        column = pl.col(self.column)
        if dtype.is_numeric() and not self.compass:
            return column.cast(pl.Float64).is_infinite().fill_null(value=False)
        if is_text(dtype) and self.compass:
            says_nothing = (_words(column) == "") | says_no_direction(_words(column))
            return column.is_not_null() & self._number(dtype).is_null() & ~says_nothing
        return column.is_not_null()

    def reason(self, dtype: pl.DataType) -> str:
        """What is wrong with an unreadable value."""
        if self.compass:
            return "no point of the compass"
        return "no finite number" if dtype.is_numeric() else "text where a number belongs"

    def _number(self, dtype: pl.DataType) -> pl.Expr:
        column = pl.col(self.column)
        if is_text(dtype) and self.compass:
            return compass_to_degrees(_words(column))
        if dtype.is_numeric() and not self.compass:
            number = column.cast(pl.Float64)
            return pl.when(number.is_finite()).then(number)
        return pl.when(column.is_null()).then(pl.lit(None, pl.Float64))  # null in every row


def _words(column: pl.Expr) -> pl.Expr:
    return column.cast(pl.String).str.strip_chars()
