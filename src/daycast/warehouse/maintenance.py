"""Maintenance of the warehouse: delete old rows, compact a lake, copy all tables into another warehouse."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf

import duckdb
import polars as pl

from daycast.duckdb_results import query_arrow
from daycast.errors import WarehouseError
from daycast.times import DAY, EPOCH, UTC_TIME
from daycast.variables import Variable, check_column
from daycast.warehouse.append_only import touch
from daycast.warehouse.statements import quoted, statement
from daycast.warehouse.warehouse import read_frame, transaction

_VACUUM_STEPS = (
    "ducklake_expire_snapshots('warehouse', older_than => now() - $kept)",
    "ducklake_merge_adjacent_files('warehouse')",
    "ducklake_rewrite_data_files('warehouse')",
    "ducklake_cleanup_old_files('warehouse', older_than => now() - $kept)",
)
_BATCH_ROWS = 100_000


@dataclass(frozen=True)
class OldRows:
    """The rows beyond their retention, and the models that still have forecasts within it."""

    forecasts: int  # rows
    scores: int  # rows
    forecasting_models: frozenset[str]  # ids


def delete_old_rows(
    con: duckdb.DuckDBPyConnection, forecasts_until: datetime | None, scores_until: datetime | None, *, dry_run: bool
) -> OldRows:
    """Delete forecasts issued before `forecasts_until` and scores of days before `scores_until`; None keeps all.

    With `dry_run` nothing is deleted. Returns how many rows are that old.
    """
    until = {"forecasts": forecasts_until or EPOCH, "scores": scores_until or EPOCH}
    with transaction(con):
        row = read_frame(con, "select_old_rows", forecasts_until=until["forecasts"], scores_until=until["scores"]).row(
            0, named=True
        )
        if not dry_run:
            _delete(con, "delete_old_forecasts", "forecasts", row["issued_at"], until["forecasts"])
            _delete(con, "delete_old_scores", "scores", row["scored_at"], until["scores"])
    return OldRows(row["forecasts"], row["scores"], frozenset(row["models"] or []))


def _delete(
    con: duckdb.DuckDBPyConnection, query: str, table: str, moments: list[datetime] | None, until: datetime
) -> None:
    """Run a deleting statement, and record that the rows with these values of the table's time column are gone."""
    if moments:
        con.execute(statement(query), {"until": until})
        touch(con, table, pl.Series(moments, dtype=UTC_TIME))


def vacuum_lake(con: duckdb.DuckDBPyConnection, kept: timedelta = DAY) -> None:
    """Expire the lake's snapshots older than `kept`, delete the files that only they use, and merge small files.

    No row changes. Readers go on, except readers of an expired snapshot. Each step commits by itself, so the next call completes
    a killed one. Two things are left: files that a killed writer never committed, because files unknown to the catalogue may
    belong to somebody else; and the few rows that DuckLake stores in the catalogue, because DuckLake 1.5 moves them out only
    while nobody reads.
    """
    for step in _VACUUM_STEPS:
        con.execute(f"call {step}", {"kept": kept} if "$kept" in step else None).fetchall()


def read_variables(con: duckdb.DuckDBPyConnection) -> list[Variable]:
    """Every variable that has columns in this warehouse, whether or not it is still configured. Only `name` is meaningful."""
    columns = [name for (name,) in con.execute(statement("select_observation_columns")).fetchall()]
    return [Variable(name, name, "", -inf, inf) for name in columns if check_column(name) in columns]


def copy_tables(source: duckdb.DuckDBPyConnection, target: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Copy every table, each in its own transaction. Returns the number of rows of each, the same in both warehouses.

    Tables that are already equal are skipped, so the next call completes a killed copy. Raises WarehouseError if `target` already
    holds other rows of a table, or if the copied rows differ; nothing of that table is written then.
    """
    return {name: _copy(source, target, name) for (name,) in source.execute(statement("select_tables")).fetchall()}


def _copy(source: duckdb.DuckDBPyConnection, target: duckdb.DuckDBPyConnection, table: str) -> int:
    described = source.execute(f"describe {quoted(table)}").fetchall()
    names = sorted(str(column[0]) for column in described)
    sent = _count_and_sum(source, table, names)
    with transaction(target):
        held = _count_and_sum(target, table, names)
        if held == sent:
            return sent[0]
        if held[0]:
            raise WarehouseError(
                f"table {table} already has {held[0]:,} rows, other than the {sent[0]:,} to copy: copy into an empty one"
            )
        target.register("arriving", query_arrow(source, f"from {quoted(table)}").to_arrow_reader(_BATCH_ROWS))
        try:
            target.execute(f"insert into {quoted(table)} by name from arriving")
        finally:
            target.unregister("arriving")
        if (arrived := _count_and_sum(target, table, names)) != sent:
            raise WarehouseError(
                f"table {table}: the {arrived[0]:,} rows copied differ from the {sent[0]:,} read; the copy was undone"
            )
    return sent[0]


def _count_and_sum(con: duckdb.DuckDBPyConnection, table: str, names: list[str]) -> tuple[int, int]:
    """The number of rows and the sum of their hashes: independent of the order, different if any row differs."""
    columns = ", ".join(quoted(name) for name in names)
    query = f"select count(*), coalesce(sum(hash({columns})::hugeint), 0)::varchar from {quoted(table)}"
    count, total = con.execute(query).fetchall()[0]
    return count, int(total)
