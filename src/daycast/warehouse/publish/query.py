"""Queries on the published file: read-only, and with no access to other files except its history."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import polars as pl

from daycast.errors import WarehouseError
from daycast.warehouse.publish.history import FOLDER_VARIABLE, folder_of
from daycast.warehouse.statements import quoted
from daycast.warehouse.warehouse import SETTINGS, explain_failures, is_damaged

# CREATE, in DuckDB 2 MULTI: pivot creates a type and selects; the file itself is read-only
_SILENT = {"SET", "CREATE"}
_ALLOWED = {"SELECT", "EXPLAIN", "SET", "CALL", "CREATE", "MULTI"}
_NOT_IN_POLARS = re.compile(
    r'(?<!")\b(INTERVAL|UNION|BIT|BIGNUM|GEOMETRY|TIME WITH TIME ZONE)\b(?!")'
)  # types it lacks
_REBUILD = "remove that file, and `daycast publish` makes it anew from the warehouse"
_HISTORY_DAMAGED = re.compile(r"No magic bytes found at end of file '[^']*\.parquet'")
_WRITES = re.compile(r"\b(copy|export|attach)\b", re.IGNORECASE)


def query_published(path: Path, query: str) -> pl.DataFrame:
    """The result of a query on the published file; of several statements that of the last one. See `query_each`."""
    *_, last = query_each(path, query)
    return last


def query_each(path: Path, text: str) -> Iterator[pl.DataFrame]:
    """The result of each statement on the published file, which is opened read-only and without access to other files.

    Statements without a result, such as `set`, give none; if no statement has one, there is one empty frame. Types that polars
    lacks are returned as text. Raises WarehouseError if the file is missing or damaged, or a statement fails.
    """
    if not path.is_file():
        raise WarehouseError(f"there is no published file {path} yet: run `daycast run` or `daycast publish` first")
    with explain_failures(path, _REBUILD), duckdb.connect(path, read_only=True, config=SETTINGS) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"set variable {FOLDER_VARIABLE} = $folder", {"folder": str(folder_of(path).resolve())})
        con.execute("set allowed_directories = $folders", {"folders": [f"{folder_of(path).resolve()}/"]})
        con.execute("set enable_external_access = false")
        try:
            statements = con.extract_statements(text)
            _check_reads(statements, text)
        except duckdb.Error as error:
            raise _failure(error) from None
        shown = 0
        for number, one in enumerate(statements, start=1):
            try:
                result = con.sql(one)
                frame = None if result is None or one.type.name in _SILENT else _cast_unsupported_to_text(result).pl()
            except duckdb.Error as error:
                if is_damaged(error):
                    raise
                raise _failure(error, f" in statement {number} of {len(statements)}" if number > 1 else "") from None
            if frame is not None:
                shown += 1
                yield frame
        if not shown:
            yield pl.DataFrame()


def _failure(error: duckdb.Error, where: str = "") -> WarehouseError:
    rebuild = f"; {_REBUILD}" if _HISTORY_DAMAGED.search(str(error)) else ""
    return WarehouseError(f"the query failed{where}: {_one_line(str(error))}{rebuild}")


def _check_reads(statements: Sequence[duckdb.Statement], text: str) -> None:
    """Raise WarehouseError if there is nothing to do, or a statement writes: it could change the files of the history."""
    if not statements:
        raise WarehouseError("the query failed: it is empty; `show tables` lists the tables")
    for one in statements:
        kind = one.type.name
        if kind not in _ALLOWED or (kind in {"EXPLAIN", "MULTI"} and _WRITES.search(text)):
            raise WarehouseError(f"the query failed: it has a statement {kind.lower()}, and only reading is allowed")


def _cast_unsupported_to_text(result: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The result with text in place of types that polars lacks; lists and structs of them become lists and structs of text."""
    kinds = [str(kind) for kind in result.types]
    if not any(_NOT_IN_POLARS.search(kind) for kind in kinds):
        return result
    columns = (
        f"#{i}{f'::{_text_type(kind)}' if _NOT_IN_POLARS.search(kind) else ''} as {quoted(name)}"
        for i, (name, kind) in enumerate(zip(result.columns, kinds, strict=True), start=1)
    )
    return result.project(", ".join(columns))


def _text_type(kind: str) -> str:
    """The type with text in place of types that polars lacks; text as a whole if it has a union, which is not one type."""
    return "varchar" if "UNION" in _NOT_IN_POLARS.findall(kind) else _NOT_IN_POLARS.sub("varchar", kind)


def _one_line(message: str) -> str:
    """DuckDB's message with its suggestions, without the lines that point into the query."""
    return " ".join(message.split("\nLINE ", maxsplit=1)[0].split())
