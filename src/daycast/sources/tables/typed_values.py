"""From a column that has a type to numbers in daycast's unit."""

from dataclasses import dataclass

import polars as pl

from daycast.errors import SourceError
from daycast.sources.tables.units import Unit, compass_to_degrees, says_no_direction


def is_text(dtype: pl.DataType) -> bool:
    """Whether values of this type are words."""
    return dtype in (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True, slots=True)
class TypedReader:
    """Reads one variable from one column of numbers, or of points of the compass."""

    variable: str
    column: str
    unit: Unit
    compass: bool
    missing: tuple[float, ...]

    def validate(self, dtype: pl.DataType, origin: str) -> None:
        """Raise SourceError naming a type that holds neither numbers nor text; text in the wrong place is found row by row."""
        if not (dtype.is_numeric() or is_text(dtype) or dtype == pl.Null):
            wanted = "points of the compass" if self.compass else "numbers"
            raise SourceError(
                f"{origin}: column {self.column!r} is of type {dtype}, and {self.variable} needs {wanted}"
            )

    def value(self, dtype: pl.DataType) -> pl.Expr:
        """The variable [daycast's unit], null where missing or unreadable; `dtype` is the column's."""
        number = self._number(dtype)
        for marker in self.missing:
            number = pl.when(number != marker).then(number)
        return self.unit.to_daycast(number).alias(self.variable)

    def unreadable(self, dtype: pl.DataType) -> pl.Expr:
        """True where there is something that is neither a value nor a way of saying that there is none."""
        column = pl.col(self.column)
        if dtype.is_numeric() and not self.compass:
            return column.cast(pl.Float64).is_infinite().fill_null(value=False)
        if is_text(dtype) and self.compass:
            says_nothing = (_words(column) == "") | says_no_direction(_words(column))
            return column.is_not_null() & self._number(dtype).is_null() & ~says_nothing
        return column.is_not_null()

    def reason(self, dtype: pl.DataType) -> str:
        """What is wrong with what is unreadable."""
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
