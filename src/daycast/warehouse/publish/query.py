"""Queries on the published file: read-only, and with no access to other files except its history."""

import re
from pathlib import Path

import duckdb
import polars as pl

from daycast.errors import WarehouseError
from daycast.warehouse.publish.history import FOLDER_VARIABLE, folder_of
from daycast.warehouse.statements import quoted
from daycast.warehouse.warehouse import SETTINGS, explain_failures, is_damaged

_ALLOWED = {"SELECT", "EXPLAIN", "SET", "CALL", "CREATE"}  # CREATE: pivot creates a type; the file itself is read-only
_NOT_IN_POLARS = re.compile(r"\b(INTERVAL|UNION|BIT|BIGNUM|GEOMETRY|TIME WITH TIME ZONE)\b")  # types that polars lacks
_REBUILD = "remove that file, and `daycast publish` makes it anew from the warehouse"
_HISTORY_DAMAGED = re.compile(r"No magic bytes found at end of file '[^']*\.parquet'")
_WRITES = re.compile(r"\b(copy|export|attach)\b", re.IGNORECASE)


def query_published(path: Path, query: str) -> pl.DataFrame:
    """The result of a query on the published file, which is opened read-only and without access to other files.

    Types that polars lacks are returned as text. Raises WarehouseError if the file is missing or damaged, or the query fails.
    """
    if not path.is_file():
        raise WarehouseError(f"there is no published file {path} yet: run `daycast run` or `daycast publish` first")
    with explain_failures(path, _REBUILD), duckdb.connect(path, read_only=True, config=SETTINGS) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"set variable {FOLDER_VARIABLE} = $folder", {"folder": str(folder_of(path).resolve())})
        con.execute("set allowed_directories = $folders", {"folders": [f"{folder_of(path).resolve()}/"]})
        con.execute("set enable_external_access = false")
        try:
            _check_reads(con, query)
            result = con.sql(query)
            return pl.DataFrame() if result is None else _cast_unsupported_to_text(result).pl()
        except duckdb.Error as error:
            if is_damaged(error):
                raise
            rebuild = f"; {_REBUILD}" if _HISTORY_DAMAGED.search(str(error)) else ""
            raise WarehouseError(f"the query failed: {_one_line(str(error))}{rebuild}") from None


def _check_reads(con: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise WarehouseError if the query has a statement that writes: it could change the files of the history."""
    for one in con.extract_statements(query):
        kind = one.type.name
        if kind not in _ALLOWED or (kind == "EXPLAIN" and _WRITES.search(query)):
            raise WarehouseError(f"the query failed: it has a statement {kind.lower()}, and only reading is allowed")


def _cast_unsupported_to_text(result: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The result with columns of types that polars lacks cast to text."""
    unsupported = [bool(_NOT_IN_POLARS.search(str(kind))) for kind in result.types]
    if not any(unsupported):
        return result
    columns = (
        f"#{i}{'::varchar' if is_unsupported else ''} as {quoted(name)}"
        for i, (name, is_unsupported) in enumerate(zip(result.columns, unsupported, strict=True), start=1)
    )
    return result.project(", ".join(columns))


def _one_line(message: str) -> str:
    """DuckDB's message with its suggestions, without the lines that point into the query."""
    return " ".join(message.split("\nLINE ", maxsplit=1)[0].split())
