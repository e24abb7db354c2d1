"""Copying every table from one warehouse into another, from a file to a lake or back, so that not a row differs."""

from math import inf

import duckdb

from daycast.errors import WarehouseError
from daycast.variables import Variable, check_column
from daycast.warehouse.connect import transaction
from daycast.warehouse.statements import quoted, statement

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
