"""The values of a polars frame as plain Python: numbers, ISO 8601 texts, lists and dicts, for every type a query can return."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import polars as pl

_INFINITE = {
    2**63 - 1: "infinity",
    1 - 2**63: "-infinity",
    2**31 - 1: "infinity",
    1 - 2**31: "-infinity",
}  # DuckDB's infinite times (64 bits) and dates (32 bits), and its names for them
_CYCLE_DAYS, _CYCLE_YEARS = 146_097, 400  # after which the Gregorian calendar repeats
_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def plain_values(series: pl.Series) -> list[Any]:
    """The values as None, bool, int, float, str, and lists and dicts of these; times as ISO 8601, bytes as hexadecimal digits.

    Times after the year 9999 or before the year 1 have a sign before the year, and DuckDB's infinity is `infinity`: Python's own
    types cannot hold them, and polars panics when it converts them.
    """
    match series.dtype:
        case pl.Date() | pl.Datetime():
            values: list[Any] = iso_times(series).to_list()
        case pl.Time():
            values = series.dt.to_string("%H:%M:%S%.f").to_list()
        case pl.Duration():
            values = series.dt.to_string("iso").to_list()
        case pl.Categorical() | pl.Enum():
            values = series.cast(pl.String).to_list()
        case pl.Binary():
            values = series.bin.encode("hex").to_list()
        case pl.Decimal():
            values = [None if value is None else plain(value) for value in series.to_list()]
        case dtype:
            values = _nested(series) if dtype.is_nested() else series.to_list()
    return values


def plain(value: object) -> Any:
    """One Python value in the form of `plain_values`; unknown types become text."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return pl.Series([value]).dt.to_string("iso").item()
        case bytes():
            return value.hex()
    return str(value)


def iso_times(series: pl.Series) -> pl.Series:
    """Dates or times as ISO 8601 texts."""
    rest = "-%m-%d" if isinstance(series.dtype, pl.Date) else "-%m-%dT%H:%M:%S%.f"
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone:
        rest += "%:z"
    known = series.dt.year().is_not_null()
    texts = series.zip_with(known, pl.Series([None], dtype=series.dtype)).dt.to_string(f"%Y{rest}")
    far = series.filter(~known & series.is_not_null())
    if far.is_empty():
        return texts
    told = iter([_far_time(instant, series.dtype, rest) for instant in far.to_physical()])
    gone = series.is_null()
    return pl.Series(
        series.name,
        [text if text is not None or is_null else next(told) for text, is_null in zip(texts, gone, strict=True)],
        pl.String,
    )


def _far_time(instant: int, dtype: pl.DataType, rest: str) -> str:
    """A time beyond polars' calendar: the same moment of the calendar's present cycle, with its own year."""
    if instant in _INFINITE:
        return _INFINITE[instant]
    per_day = _PER_DAY[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1
    cycles, near = divmod(instant, _CYCLE_DAYS * per_day)
    alike = pl.Series([near]).cast(pl.Int64).cast(dtype)
    year = alike.dt.year().item() + cycles * _CYCLE_YEARS
    return f"{year:+05}" + str(alike.dt.to_string(rest).item())


def _nested(series: pl.Series) -> list[Any]:
    dtype = series.dtype
    if isinstance(dtype, pl.Struct):
        fields = [plain_values(series.struct.field(name)) for name in series.struct.fields]
        rows = zip(*fields, strict=True) if fields else ((),) * len(series)
        return [
            None if is_null else dict(zip(series.struct.fields, row, strict=True))
            for row, is_null in zip(rows, series.is_null(), strict=True)
        ]
    if isinstance(dtype, pl.Map):
        pairs = series.cast(pl.List(pl.Struct({"key": dtype.key, "value": dtype.value})))
        return [None if row is None else {str(one["key"]): one["value"] for one in row} for row in plain_values(pairs)]
    lists = series.arr.to_list() if isinstance(dtype, pl.Array) else series
    values = iter(plain_values(lists.explode(empty_as_null=False, keep_nulls=False)))
    return [None if length is None else list(islice(values, length)) for length in lists.list.len()]
