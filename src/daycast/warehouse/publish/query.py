"""Asking the published file: reading only, and nothing but it and its history."""

import re
from pathlib import Path

import duckdb
import polars as pl

from daycast.errors import WarehouseError
from daycast.warehouse.publish.history import FOLDER_VARIABLE, folder_of
from daycast.warehouse.statements import quoted
from daycast.warehouse.warehouse import SETTINGS, failures_explained, is_damaged

_READING = {
    "SELECT",
    "EXPLAIN",
    "SET",
    "CALL",
    "CREATE",
}  # CREATE: pivot makes a type of its own; the file is read-only
_FOREIGN = re.compile(r"\b(INTERVAL|UNION|BIT|BIGNUM|GEOMETRY|TIME WITH TIME ZONE)\b")  # types that polars has not
_AGAIN = "remove that file, and `daycast publish` makes it anew from the warehouse"
_HISTORY_DAMAGED = re.compile(r"No magic bytes found at end of file '[^']*\.parquet'")
_WRITING = re.compile(r"\b(copy|export|attach)\b", re.IGNORECASE)


def query_published(path: Path, query: str) -> pl.DataFrame:
    """The result of a query on the published file, opened read-only and with no way to the file system beyond it and its history.

    Raises WarehouseError where there is no such file, it is damaged, or the query is wrong.
    """
    if not path.is_file():
        raise WarehouseError(f"there is no published file {path} yet: run `daycast run` or `daycast publish` first")
    with failures_explained(path, _AGAIN), duckdb.connect(path, read_only=True, config=SETTINGS) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"set variable {FOLDER_VARIABLE} = $folder", {"folder": str(folder_of(path).resolve())})
        con.execute("set allowed_directories = $folders", {"folders": [f"{folder_of(path).resolve()}/"]})
        con.execute("set enable_external_access = false")
        try:
            _check_reads(con, query)
            result = con.sql(query)
            return pl.DataFrame() if result is None else _as_text_where_foreign(result).pl()
        except duckdb.Error as error:
            if is_damaged(error):
                raise
            again = f"; {_AGAIN}" if _HISTORY_DAMAGED.search(str(error)) else ""
            raise WarehouseError(f"the query failed: {_one_line(str(error))}{again}") from None


def _check_reads(con: duckdb.DuckDBPyConnection, query: str) -> None:
    """Refuse what writes: it could reach the files of the history."""
    for one in con.extract_statements(query):
        kind = one.type.name
        if kind not in _READING or (kind == "EXPLAIN" and _WRITING.search(query)):
            raise WarehouseError(
                f"the query failed: it is to read and nothing else, and has a statement {kind.lower()}"
            )


def _as_text_where_foreign(result: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The result with those columns as text whose type polars does not know."""
    foreign = [bool(_FOREIGN.search(str(kind))) for kind in result.types]
    if not any(foreign):
        return result
    columns = (
        f"#{i}{'::varchar' if is_foreign else ''} as {quoted(name)}"
        for i, (name, is_foreign) in enumerate(zip(result.columns, foreign, strict=True), start=1)
    )
    return result.project(", ".join(columns))


def _one_line(message: str) -> str:
    """What was wrong and what DuckDB proposes instead, without the picture of where in the query."""
    return " ".join(message.split("\nLINE ", maxsplit=1)[0].split())
