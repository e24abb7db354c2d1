"""The published file: a read-only DuckDB file for analysts, replaced after each commit.

It is written beside the old one and moved into its place, so readers never block the pipeline. Small tables are copied in
full. Large append-only tables become views over Parquet files (`history`); only rows written since the last publication are
added to those. `publish` comes first, then its steps, then the previous publication, which decides what can be reused.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import duckdb
import polars as pl

from daycast.errors import WarehouseError
from daycast.files import atomic_write, check_room
from daycast.warehouse.append_only import APPEND_ONLY, read_unpublished
from daycast.warehouse.migrations import create_views
from daycast.warehouse.publish.history import (
    Partition,
    Range,
    compact_ranges,
    create_history_view,
    folder_of,
    join_ranges,
    range_condition,
    remove_publication,
    start_grace_period,
    write_history,
)
from daycast.warehouse.statements import literal, quoted, statement, write_comments
from daycast.warehouse.warehouse import fetch_frame, frames, is_damaged, read_frame, transaction

PUBLIC_TABLES = (
    "stations",
    "retired_stations",
    "batches",
    "rejected_readings",
    "observation_versions",
    "external_forecasts",
    "models",
    "promotions",
    "holdout_scores",
    "fallbacks",
    "forecasts",
    "scores",
    "drifts",
    "runs",
)
OWN_TABLES = ("history_files", "publication")  # only in the published file
PARQUET_ABOVE = 5_000_000  # rows: fewer are copied in seconds, and one file is easier to pass on than a folder
Histories = Mapping[str, list[Partition]]


@dataclass(frozen=True)
class PreviousPublication:
    """The last publication, as far as the next one can reuse its Parquet files; empty if it cannot."""

    publication_id: str | None = None
    partitions: Mapping[str, list[Partition]] = field(default_factory=dict)  # by table


def publish(
    con: duckdb.DuckDBPyConnection, path: Path, parquet_above: int = PARQUET_ABOVE, *, compact: bool = False
) -> None:
    """Replace the DuckDB file at `path` by one with the public tables, their comments and the views.

    Readers keep the old file until they close it. Whoever opens `path` sees the old file or the new one, complete, even if this
    process dies. Append-only tables with more than `parquet_above` rows become views over Parquet files in the folder beside
    `path`; only rows written since the last publication are added there, and with `compact` small files are merged. The newest
    forecasts are always in the file itself. Raises StorageError, before writing anything, if there is not enough space.
    """
    publication, unpublished = uuid4().hex[:12], read_unpublished(con)
    for leftover in (
        path.with_suffix(".tmp"),
        path.with_suffix(".tmp.wal"),
    ):  # of a killed process of an earlier version
        leftover.unlink(missing_ok=True)  # safe: only one process publishes, the one that holds the warehouse
    try:
        _replace(con, path, publication, _touched(unpublished), parquet_above, compact=compact)
    except BaseException:
        remove_publication(path, publication)
        raise
    _settle(con, publication, unpublished)


def _replace(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    publication: str,
    touched: Mapping[str, list[Range]],
    parquet_above: int,
    *,
    compact: bool,
) -> None:
    """Write the Parquet files of large tables and the new published file, and move that into place."""
    layout = str(read_frame(con, "select_layout").item())
    with attach_previous(con, path, layout) as previous:
        check_room(path.parent, _estimate_bytes(con, path, previous), "publishing")
        histories = {
            table: _write_history(con, path, table, previous, touched.get(table, []), publication, compact)
            for table in APPEND_ONLY
            if _rows(con, table) > parquet_above
        }
        with atomic_write(path) as draft:
            con.execute(f"attach {literal(str(draft))} as published")
            try:
                _copy_tables(con, histories, (publication, previous.publication_id, layout))
                _create_latest(
                    con, previous if "forecasts" in histories else PreviousPublication(), touched.get("forecasts", [])
                )
                _complete(con, path, histories)
            finally:
                con.execute("detach published")
            _check_no_wal(draft)
            start_grace_period(
                path, _files(previous.partitions) - _files(histories) if previous.publication_id else None
            )


def _estimate_bytes(con: duckdb.DuckDBPyConnection, path: Path, previous: PreviousPublication) -> int:
    """An estimate of what will be written: the size of the last file, else of the warehouse; plus the history if not reused."""
    history = 0 if previous.publication_id else sum(file.stat().st_size for file in folder_of(path).rglob("*.parquet"))
    if path.is_file():
        return path.stat().st_size + history
    files = con.execute("select path from duckdb_databases() where database_name = current_database()").fetchall()
    partitions = (Path(f"{file}{end}") for (file,) in files if file for end in ("", ".wal"))  # a lake has no file
    return history + sum(part.stat().st_size for part in partitions if part.is_file())


def _touched(unpublished: pl.DataFrame) -> dict[str, list[Range]]:
    """The touched ranges by table."""
    ranges: dict[str, list[Range]] = {}
    for table, since, until in unpublished.select("table_name", "since", "until").unique().iter_rows():
        ranges.setdefault(table, []).append((since, until))
    return ranges


def _rows(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(con.execute(f"select count(*) from {quoted(table)}").fetchall()[0][0])


def _write_history(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    table: str,
    previous: PreviousPublication,
    touched: list[Range],
    publication: str,
    compact: bool,
) -> list[Partition]:
    """Write the Parquet files of one large table that are out of date. Returns all its files."""
    partitions = previous.partitions.get(table, [])
    ranges = [*touched, *(compact_ranges(partitions) if compact else [])]
    return write_history(con, path, table, partitions, ranges, publication)


def _files(histories: Histories) -> set[str]:
    return {part.file for partitions in histories.values() for part in partitions}


def _copy_tables(con: duckdb.DuckDBPyConnection, histories: Histories, about: tuple[str, str | None, str]) -> None:
    """Copy the tables that are not in Parquet files, and write the file's own tables `publication` and `history_files`."""
    files = [part for partitions in histories.values() for part in partitions]
    with transaction(con):
        for table in (name for name in PUBLIC_TABLES if name not in histories):
            con.execute(f"create table published.{quoted(table)} as from {quoted(table)}")
        con.execute("create table published.publication (publication_id varchar, follows varchar, layout varchar)")
        con.execute("insert into published.publication values (?, ?, ?)", about)
        con.execute(
            "create table published.history_files "
            "(table_name varchar, file varchar, since timestamptz, until timestamptz, rows bigint)"
        )
        with frames(con, files=pl.DataFrame(files, schema=["table_name", "file", "since", "until", "rows"])):
            if files:
                con.execute("insert into published.history_files from files")


def _create_latest(con: duckdb.DuckDBPyConnection, previous: PreviousPublication, touched: Iterable[Range]) -> None:
    """Write latest_forecasts as a table, because it is read often.

    If the forecasts are in Parquet files, only the rows written since the last publication are read, unless that is damaged or
    other stations are retired now.
    """
    ranges = [range_condition("forecasts", one) for one in join_ranges(touched, adjacent=True)]
    kept = " and ".join(f"not ({one})" for one in ranges) or "true"
    new = [f"from forecasts where {one}" for one in ranges]
    if previous.partitions.get("forecasts"):
        try:
            before, now = (
                con.execute(f"select station_id from {schema}retired_stations order by all").fetchall()
                for schema in ("previous.", "")
            )
            parts = [f"from previous.latest_forecasts where {kept}", *new] if before == now else ["from forecasts"]
            _create_latest_from(con, parts)
        except duckdb.IOException as error:
            if not is_damaged(error):
                raise
        else:
            return
    _create_latest_from(con, ["from forecasts"])


def _create_latest_from(con: duckdb.DuckDBPyConnection, candidates: Sequence[str]) -> None:
    con.execute(f"create or replace temp view candidates as {' union all by name '.join(candidates)}")
    con.execute("create table published.latest_forecasts as " + statement("select_newest_forecasts"))
    con.execute("drop view candidates")


def _complete(con: duckdb.DuckDBPyConnection, path: Path, histories: Histories) -> None:
    """Create the views inside the published file, and copy the comments."""
    comments = con.execute(
        "select table_name, null, comment from duckdb_tables() where database_name = current_database() and comment is not null "
        "union all select table_name, column_name, comment from duckdb_columns() "
        "where database_name = current_database() and comment is not null"
    ).fetchall()
    home = con.execute("select current_database()").fetchall()[0][0]
    con.execute("use published")
    try:
        with transaction(con):  # otherwise each of hundreds of statements would wait for the disk
            for table, partitions in histories.items():
                create_history_view(con, path, table, partitions)
            for table, column, comment in comments:
                if table in PUBLIC_TABLES and column is None:
                    what = "view" if table in histories else "table"
                    con.execute(f"comment on {what} {quoted(table)} is {literal(comment)}")
                elif table in PUBLIC_TABLES:
                    con.execute(f"comment on column {quoted(table)}.{quoted(column)} is {literal(comment)}")
            create_views(con, as_tables=["latest_forecasts"])
            write_comments(con)
        con.execute("checkpoint published")
    finally:
        con.execute(f"use {quoted(home)}")


def _settle(con: duckdb.DuckDBPyConnection, publication: str, written: pl.DataFrame) -> None:
    """Record in the warehouse what is published now. If the process dies before this, the next one publishes the same again."""
    with frames(con, written=written.select("touch_id")), transaction(con):
        con.execute(statement("delete_unpublished"))
        con.execute(statement("delete_publications"))
        con.execute(statement("insert_publication"), {"publication_id": publication})


@contextmanager
def attach_previous(con: duckdb.DuckDBPyConnection, path: Path, layout: str) -> Iterator[PreviousPublication]:
    """Attach the published file at `path` as `previous` for the length of the block, and tell what can be reused of it.

    It can be reused if the unpublished ranges are all that it lacks: it is the warehouse's newest publication, or was made
    from that one by a process that died before recording it; and no table has changed its layout since.
    """
    try:
        con.execute(f"attach {literal(str(path))} as previous (read_only)")
    except duckdb.Error:  # no file, or not a database
        yield PreviousPublication()
        return
    try:
        yield _read_previous(con, layout)
    finally:
        con.execute("detach previous")


def _read_previous(con: duckdb.DuckDBPyConnection, layout: str) -> PreviousPublication:
    newest = read_frame(con, "select_publication")["publication_id"].to_list()
    try:
        row = con.execute("select publication_id, follows, layout from previous.publication").fetchall()[0]
        query = "select table_name, file, since, until, rows from previous.history_files order by since"
        partitions = fetch_frame(con, query)
    except duckdb.Error:  # made by an older version, without these tables
        return PreviousPublication()
    if row[2] != layout or not set(row[:2]) & set(newest):
        return PreviousPublication()
    found = [
        Partition(**part)
        for part in partitions.with_columns(pl.col("since", "until").dt.convert_time_zone("UTC")).to_dicts()
    ]
    return PreviousPublication(
        row[0], {name: [part for part in found if part.table_name == name] for name in {p.table_name for p in found}}
    )


def _check_no_wal(path: Path) -> None:
    wal = path.with_name(path.name + ".wal")
    if wal.exists():
        raise WarehouseError(f"{wal} was left behind while publishing: the published file was not replaced")
