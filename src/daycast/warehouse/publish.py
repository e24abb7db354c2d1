"""The published file: what analysts read.

Made beside the old one and moved into its place, so that no reader is ever in the way.
"""

from pathlib import Path

import duckdb
import polars as pl

from daycast.errors import WarehouseError
from daycast.warehouse.comments import literal, write_comments
from daycast.warehouse.connect import SETTINGS
from daycast.warehouse.migrate import create_views
from daycast.warehouse.statements import quoted

PUBLIC_TABLES = (
    "stations",
    "batches",
    "rejected_readings",
    "observation_versions",
    "covariates",
    "models",
    "promotions",
    "judgements",
    "substitutes",
    "forecasts",
    "scores",
    "runs",
)


def publish(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Copy the public tables, their comments and the views into a new DuckDB file at `path`.

    Readers of the former file keep it until they close it; whoever opens `path` sees the old file or the new one, whole.
    """
    beside = path.with_suffix(".tmp")  # whoever publishes holds the warehouse, so there is only one
    _remove(beside)
    con.execute(f"attach {literal(str(beside))} as published")
    try:
        con.execute("begin")
        for table in PUBLIC_TABLES:
            con.execute(f"create table published.{quoted(table)} as from {quoted(table)}")
        con.execute("commit")
        _comment(con)
    finally:
        con.execute("detach published")
    _check_no_wal(beside)
    beside.replace(path)


def _comment(con: duckdb.DuckDBPyConnection) -> None:
    """Carry the comments over and create the views, inside the published file."""
    comments = con.execute(
        "select table_name, null, comment from duckdb_tables() where database_name = current_database() and comment is not null "
        "union all select table_name, column_name, comment from duckdb_columns() "
        "where database_name = current_database() and comment is not null"
    ).fetchall()
    home = con.execute("select current_database()").fetchall()[0][0]
    con.execute("use published")
    try:
        for table, column, comment in comments:
            if table in PUBLIC_TABLES and column is None:
                con.execute(f"comment on table {quoted(table)} is {literal(comment)}")
            elif table in PUBLIC_TABLES:
                con.execute(f"comment on column {quoted(table)}.{quoted(column)} is {literal(comment)}")
        create_views(con)
        _materialise(con, "latest_forecasts")
        write_comments(con)
        con.execute("checkpoint published")
    finally:
        con.execute(f"use {quoted(home)}")


def _materialise(con: duckdb.DuckDBPyConnection, view: str) -> None:
    """Put what a view of the current database holds in its place, under its name: read often, and read fast."""
    con.execute(f"create table made as from {quoted(view)}")
    con.execute(f"drop view {quoted(view)}")
    con.execute(f"alter table made rename to {quoted(view)}")


def _check_no_wal(path: Path) -> None:
    wal = path.with_name(path.name + ".wal")
    if wal.exists():
        raise WarehouseError(f"{wal} was left behind while publishing: the published file was not replaced")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".wal").unlink(missing_ok=True)


def query_published(path: Path, query: str) -> pl.DataFrame:
    """The result of a query on the published file, opened read-only and with no way to the rest of the file system.

    Raises WarehouseError where there is no such file, or the query is wrong.
    """
    if not path.is_file():
        raise WarehouseError(f"there is no published file {path} yet: run `daycast run` or `daycast publish` first")
    with duckdb.connect(path, read_only=True, config=SETTINGS) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute("set enable_external_access = false")
        try:
            result = con.sql(query)
            return pl.DataFrame() if result is None else result.pl()
        except duckdb.Error as error:
            raise WarehouseError(f"the query failed: {_one_line(str(error))}") from None


def _one_line(message: str) -> str:
    """What was wrong and what DuckDB proposes instead, without the picture of where in the query."""
    return " ".join(message.split("\nLINE ", maxsplit=1)[0].split())
