"""Copying every table from one warehouse into another, from a file to a lake or back, so that not a row differs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf

import duckdb
import polars as pl

from daycast.errors import WarehouseError
from daycast.times import DAY, EPOCH
from daycast.variables import Variable, check_column
from daycast.warehouse.append_only import APPEND_ONLY, touch
from daycast.warehouse.statements import quoted, statement
from daycast.warehouse.warehouse import read_frame, transaction

# Rows that are older than they are kept.


@dataclass(frozen=True)
class OldRows:
    """How many rows are older than they are kept, and which models' forecasts are not."""

    forecasts: int
    scores: int
    forecasting_models: frozenset[str]


def delete_old_rows(
    con: duckdb.DuckDBPyConnection, forecasts_until: datetime | None, scores_until: datetime | None, *, dry_run: bool
) -> OldRows:
    """Delete forecasts issued before the one moment and scores of days before that of the other; None keeps all.

    With `dry_run` nothing is deleted. Returns what was there.
    """
    until = {"forecasts": forecasts_until or EPOCH, "scores": scores_until or EPOCH}
    with transaction(con):
        row = read_frame(con, "select_old_rows", forecasts_until=until["forecasts"], scores_until=until["scores"]).row(
            0, named=True
        )
        if not dry_run:
            _delete(con, "delete_old_forecasts", "forecasts", row["first_issued_at"], until["forecasts"])
            _delete(con, "delete_old_scores", "scores", row["first_valid_on"], until["scores"])
    return OldRows(row["forecasts"], row["scores"], frozenset(row["models"] or []))


def _delete(con: duckdb.DuckDBPyConnection, query: str, table: str, first: object, until: datetime) -> None:
    """first: the time of the table's oldest row, a date or a moment; None where it is empty."""
    if not isinstance(first, datetime):
        first = datetime.fromisoformat(f"{first}T00:00:00+00:00") if first else until
    if first >= until:
        return
    con.execute(statement(query), {"until": until})
    moments = pl.datetime_range(
        first.astimezone(UTC), until, APPEND_ONLY[table].periods[-1], closed="left", eager=True, time_unit="us"
    )
    touch(con, table, moments)


# What a lake need not keep: its past states, the files that only they name, and rows in many small files.


_STEPS = (
    "ducklake_expire_snapshots('warehouse', older_than => now() - $kept)",
    "ducklake_merge_adjacent_files('warehouse')",
    "ducklake_rewrite_data_files('warehouse')",
    "ducklake_cleanup_old_files('warehouse', older_than => now() - $kept)",
)


def vacuum_lake(con: duckdb.DuckDBPyConnection, kept: timedelta = DAY) -> None:
    """Forget the states that the lake had longer ago than `kept`, and delete their files; small files become larger ones.

    No row changes. Whoever reads goes on, unless it is a state older than that. Each step is a commit of its own, and one that is
    killed is made good by the next call. Two things stay: files that a killed writer never committed, for what the catalogue does
    not know may be somebody else's; and the few rows that DuckLake keeps in the catalogue itself, for DuckLake 1.5 moves them out
    only when nobody reads.
    """
    for step in _STEPS:
        con.execute(f"call {step}", {"kept": kept} if "$kept" in step else None).fetchall()


_BATCH_ROWS = 100_000


def read_variables(con: duckdb.DuckDBPyConnection) -> list[Variable]:
    """Every variable that has columns here, also of those that are configured no more; by its name alone."""
    columns = [name for (name,) in con.execute(statement("select_observation_columns")).fetchall()]
    return [Variable(name, name, "", -inf, inf) for name in columns if check_column(name) in columns]


def copy_tables(source: duckdb.DuckDBPyConnection, target: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Copy each table in a transaction of its own; returns how many rows each has, in both.

    A table that is equal already is left as it is, so that what a killed copy began is completed by the next. Raises
    WarehouseError, with nothing of that table written, where `target` has other rows in it, or what arrived is not what was sent.
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
                f"table {table} has {held[0]:,} rows there and {sent[0]:,} others here: give one where it is empty"
            )
        target.register("arriving", source.execute(f"from {quoted(table)}").to_arrow_reader(_BATCH_ROWS))
        try:
            target.execute(f"insert into {quoted(table)} by name from arriving")
        finally:
            target.unregister("arriving")
        if (arrived := _count_and_sum(target, table, names)) != sent:
            raise WarehouseError(
                f"table {table}: {arrived[0]:,} rows arrived of {sent[0]:,}, or altered ones; it was undone"
            )
    return sent[0]


def _count_and_sum(con: duckdb.DuckDBPyConnection, table: str, names: list[str]) -> tuple[int, int]:
    """How many rows there are, and the sum of their hashes: the same in any order, another where any row is."""
    columns = ", ".join(quoted(name) for name in names)
    query = f"select count(*), coalesce(sum(hash({columns})::hugeint), 0)::varchar from {quoted(table)}"
    count, total = con.execute(query).fetchall()[0]
    return count, int(total)
