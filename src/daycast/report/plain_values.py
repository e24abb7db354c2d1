"""The values of a polars frame as plain Python: numbers, ISO 8601 texts, lists and dicts, for every type a query can return."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import polars as pl

_AFTER, _BEFORE = "infinity", "-infinity"  # DuckDB's names for infinite times


def plain_values(series: pl.Series) -> list[Any]:
    """The values as None, bool, int, float, str, and lists and dicts of these; times as ISO 8601, bytes as hexadecimal digits.

    Times after the year 9999, before the year 1 or infinite become texts too: Python's own types cannot hold them, and polars
    panics when it converts them.
    """
    match series.dtype:
        case pl.Date() | pl.Datetime():
            values: list[Any] = _times(series)
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


def has_no_end(series: pl.Series) -> bool:
    """Whether one of its times is infinite, or so far away that polars has no calendar for it."""
    return isinstance(series.dtype, pl.Date | pl.Datetime) and series.dt.year().null_count() > series.null_count()


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


def _times(series: pl.Series) -> list[str | None]:
    form = "%Y-%m-%d" if isinstance(series.dtype, pl.Date) else "%Y-%m-%dT%H:%M:%S%.f"
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone:
        form += "%:z"
    known = series.dt.year().is_not_null()
    texts = series.zip_with(known, pl.Series([None], dtype=series.dtype)).dt.to_string(form)
    return [
        text or (None if instant is None else _AFTER if instant > 0 else _BEFORE)
        for text, instant in zip(texts, series.to_physical(), strict=True)
    ]


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
