"""Columns that a source does not map and that look like weather, with the line of TOML that would map each.

The names, units and values are judged by sources/guess, as `daycast init --from` judges them.
"""

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from daycast.sources.batch import Source, SourceBatch
from daycast.sources.files.csv import CsvSource
from daycast.sources.files.csv_table import extra_columns
from daycast.sources.files.parquet import ParquetSource
from daycast.sources.guess.columns import find_variables, look_at_cells, numbers_in
from daycast.sources.guess.written import to_toml
from daycast.sources.tables.values import strip_missing

_ROWS = 1000  # at the beginning of the source, that are looked at
_TYPED_SETTINGS = ("column", "unit", "factor", "offset", "cell_method")  # of a column that is not text


def unmapped_columns(source: Source, batches: Sequence[SourceBatch]) -> list[str]:
    """Lines for `[sources.columns]`, one for each variable that the source does not map and one of its columns looks like.

    batches: what was read of the source, with the first rows of `raw` as they were written. Files with one value a row or one
    column a station have no such columns; nor has a query, whose author chose them.
    """
    if isinstance(source, CsvSource) and source.columns and not source.tidy and batches:
        table = batches[0].raw
        others = [name for name in table.columns if name not in {*source.needed, *extra_columns(table)}]
        cells = table.head(_ROWS).select(strip_missing(pl.col(name), source.missing) for name in others)
        return _lines(cells, source.columns, source.decimal, source.thousands, None)
    if isinstance(source, ParquetSource) and batches:
        table = source.head(_ROWS)
        others = [name for name, dtype in table.schema.items() if name not in source.needed and not dtype.is_nested()]
        cells = table.select(pl.col(others).cast(pl.String, strict=False))
        return _lines(cells, source.columns, ".", None, _TYPED_SETTINGS)
    return []


def _lines(
    cells: pl.DataFrame,
    mapped: Collection[str],
    decimal: str,
    thousands: str | None,
    settings: Collection[str] | None,
) -> list[str]:
    """The lines; cells: columns of text, null where missing. settings: those that a column may have; None: all."""
    found = []
    for variable, column in find_variables(cells.columns, {}).items():
        text = cells[column.column].drop_nulls()
        if variable in mapped or text.is_empty():
            continue
        if look_at_cells(variable, column, text, numbers_in(text, decimal, thousands)):
            given = {"column": column.column, **column.settings}
            found.append(_line(variable, {key: given[key] for key in settings or given if key in given}, column.doubts))
    return found


def _line(variable: str, settings: Mapping[str, object], doubts: Sequence[str]) -> str:
    setting = settings if len(settings) > 1 else settings["column"]
    written = to_toml({"columns": {variable: setting}}, {f"columns.{variable}": "; ".join(doubts)} if doubts else {})
    return written.splitlines()[-1]
