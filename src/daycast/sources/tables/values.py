"""From one column to one variable in daycast's unit: `ValueReader` reads columns of text, `TypedReader` columns of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import polars as pl

from daycast.errors import SourceError
from daycast.sources.tables.units import Unit, compass_to_degrees, says_no_direction


def strip_missing(text: pl.Expr, missing: Sequence[str]) -> pl.Expr:
    """The text without surrounding blanks; null where it is empty or one of the markers `missing`."""
    stripped = text.str.strip_chars()
    return pl.when(~stripped.is_in(["", *missing])).then(stripped)


def parse_number(text: pl.Expr, decimal: str) -> pl.Expr:
    """The finite number that `text` shows, with `decimal` as its decimal mark; null for anything else."""
    if decimal != ".":
        text = pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(decimal, ".", literal=True))
    number = text.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


@dataclass(frozen=True, slots=True)
class ValueReader:
    """Reads one variable from one column of text."""

    variable: str
    column: str
    unit: Unit
    compass: bool
    missing: tuple[str, ...]
    decimal: str

    def value(self) -> pl.Expr:
        """The variable [daycast's unit], null where missing or unreadable."""
        number = self._number()
        for marker in self._missing_numbers():
            number = pl.when(number != marker).then(number)
        return self.unit.to_daycast(number).alias(self.variable)

    def unreadable(self) -> pl.Expr:
        """True where the text is neither a value nor a way to say that there is none; the column is called `unreadable_name`."""
        text = self._text()
        no_direction = says_no_direction(text) if self.compass else pl.lit(value=False)
        return (text.is_not_null() & self._number().is_null() & ~no_direction).alias(self.unreadable_name)

    @property
    def unreadable_name(self) -> str:
        """The name of the column that `unreadable` makes."""
        return f"{self.variable} unreadable"

    @property
    def reason(self) -> str:
        """What is wrong with unreadable text."""
        return "no point of the compass" if self.compass else "no finite number"

    def _text(self) -> pl.Expr:
        return strip_missing(pl.col(self.column), self.missing)

    def _number(self) -> pl.Expr:
        return compass_to_degrees(self._text()) if self.compass else parse_number(self._text(), self.decimal)

    def _missing_numbers(self) -> list[float]:
        """The markers as numbers, so that -9999 also marks -9999.0."""
        if self.compass:
            return []
        numbers = (_float_or_none(marker.replace(self.decimal, ".")) for marker in self.missing)
        return [number for number in numbers if number is not None and isfinite(number)]


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
    """Reads one variable from one column of numbers, or of compass points."""

    variable: str
    column: str
    unit: Unit
    compass: bool
    missing: tuple[float, ...]

    def validate(self, dtype: pl.DataType, origin: str) -> None:
        """Raise SourceError naming the column if its type holds neither numbers nor text.

        Text in a column of numbers is accepted here and reported row by row.
        """
        if not (dtype.is_numeric() or is_text(dtype) or dtype == pl.Null):
            wanted = "points of the compass" if self.compass else "numbers"
            raise SourceError(
                f"{origin}: column {self.column!r} is of type {dtype}, but {self.variable} needs {wanted}"
            )

    def value(self, dtype: pl.DataType) -> pl.Expr:
        """The variable [daycast's unit], null where missing or unreadable; `dtype` is the column's type."""
        number = self._number(dtype)
        for marker in self.missing:
            number = pl.when(number != marker).then(number)
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
