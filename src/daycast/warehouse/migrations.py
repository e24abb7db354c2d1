"""Bring a database to the schema of this version of daycast.

Three steps, each atomic: `migrate` applies each file of sql/migrations once and keeps its checksum, `add_variable_columns` adds
columns for the configured variables, `renew_views` recreates views and macros. `is_current` tells whether anything is left to do.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb

from daycast.errors import WarehouseError
from daycast.files import errno_of
from daycast.variables import Variable, check_column, flag_column
from daycast.warehouse.lake import is_lake
from daycast.warehouse.statements import literal, quoted, sql_folder, statement

_TOKENS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|,?\s*\bcheck\s*\(|[()]""", re.IGNORECASE)
_DEPTH = {"(": 1, ")": -1}
_ATTACHED = (
    """'from ' || case attached_as when '' then '' else '"' || replace(attached_as, '"', '""') || '".main.' end"""
)
_COMMENT, _WORD = re.compile(r"--[^\n]*|'[^']*'"), re.compile(r"\w+")


def is_current(con: duckdb.DuckDBPyConnection, variables: Iterable[Variable]) -> bool:
    """Whether `migrate`, `add_variable_columns` and `renew_views` have nothing to do. Writes nothing; raises like `migrate`."""
    columns = {
        (table, column): comment for table, column, comment in con.execute(statement("select_schema")).fetchall()
    }
    if ("migrations", "name") not in columns:
        return False
    applied = dict(con.execute(statement("select_migrations")).fetchall())
    files = {path.stem: path for path in (sql_folder() / "migrations").glob("*.sql")}
    _check_applied(applied, files)
    if set(files) != set(applied) or any(("external_forecasts", one.name) not in columns for one in variables):
        return False
    views = {name for (name,) in con.execute(statement("select_views")).fetchall()}
    if not {path.stem for path in (sql_folder() / "views").glob("*.sql")} <= views:  # one was dropped by hand
        return False
    observed = tuple(column for table, column in columns if table == "observation_versions")
    return columns["migrations", "checksum"] == _checksum_of_views(observed)


def migrate(con: duckdb.DuckDBPyConnection, now: datetime) -> list[str]:
    """Apply the missing migrations in order, each in a transaction of its own. Returns the names applied.

    A migration that fails is rolled back; the ones before it stay. Raises WarehouseError if one fails, if an applied migration
    was edited afterwards, or if the database has one that this version does not know.
    """
    con.execute(statement("create_migrations"))
    applied = dict(con.execute(statement("select_migrations")).fetchall())
    files = {path.stem: path for path in sorted((sql_folder() / "migrations").glob("*.sql"))}
    _check_applied(applied, files)
    missing = [name for name in files if name not in applied]
    for name in missing:
        _apply(con, name, files[name].read_text(), now)
    return missing


def _apply(con: duckdb.DuckDBPyConnection, name: str, text: str, now: datetime) -> None:
    con.execute("begin")
    try:
        statements = for_each_check(con, text)
        con.execute(strip_checks(statements) if is_lake(con) else statements)
        con.execute(statement("insert_migration"), {"name": name, "checksum": _checksum(text), "applied_at": now})
        con.execute("commit")
    except duckdb.Error as error:
        _roll_back(con)
        if errno_of(error):  # of the disk: who opened the file explains it
            raise
        raise WarehouseError(f"migration {name!r} failed and was undone: {error}") from error


def _check_applied(applied: dict[str, str], files: dict[str, Path]) -> None:
    for name, checksum in applied.items():
        if name not in files:
            raise WarehouseError(f"the warehouse holds migration {name!r}, from a newer daycast: upgrade daycast")
        if checksum != _checksum(files[name].read_text()):
            raise WarehouseError(f"migration {name!r} was edited after it was applied here: restore the released file")


def for_each_check(con: duckdb.DuckDBPyConnection, text: str) -> str:
    """The text of a migration, with each statement that contains {check} repeated for every variable's check column."""
    if "{check}" not in text:
        return text
    checks = [quoted(name) for name in _observation_columns(con) if name.endswith("_check")]
    parts = text.split(";")
    return ";".join(
        "; ".join(part.replace("{check}", c) for c in checks) if "{check}" in part else part for part in parts
    )


def strip_checks(sql: str) -> str:
    """The statements without check constraints, which DuckLake does not support; string literals and comments are left alone.

    On a lake the contracts that validate each frame are the only guard.
    """
    kept, end, depth = [], 0, 0
    for part in _TOKENS.finditer(sql):
        if depth:
            depth += _DEPTH.get(part[0], 0)
            end = part.end()
        elif part[0].endswith("(") and part[0] != "(":
            kept.append(sql[end : part.start()])
            depth = 1
    return "".join([*kept, sql[end:]])


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add_variable_columns(con: duckdb.DuckDBPyConnection, variables: Iterable[Variable]) -> None:
    """Add the columns of each variable: in readings, external_forecasts and what was retracted of both, and with flag and check
    in observation_versions.

    The column whose absence starts this is added last, so the next call completes a killed one.
    """
    existing = {name for (name,) in con.execute(statement("select_external_forecast_columns")).fetchall()}
    for name in (variable.name for variable in variables if variable.name not in existing):
        for table in ("readings", "retracted_readings", "retracted_external_forecasts"):
            con.execute(f"alter table {table} add column if not exists {quoted(name)} double")
        add = "alter table observation_versions add column if not exists"
        con.execute(f"{add} {quoted(name)} double")
        con.execute(f"{add} {quoted(flag_column(name))} utinyint default 9")
        con.execute(f"{add} {quoted(check_column(name))} varchar")
        con.execute(f"alter table external_forecasts add column if not exists {quoted(name)} double")


def renew_views(con: duckdb.DuckDBPyConnection) -> None:
    """(Re)create every view and macro in one transaction, and store their checksum with the table `migrations`."""
    con.execute("begin")
    try:
        create_views(con)
        con.execute(
            f"comment on column migrations.checksum is {literal(_checksum_of_views(_observation_columns(con)))}"
        )
        con.execute("commit")
    except BaseException:
        _roll_back(con)
        raise


def _roll_back(con: duckdb.DuckDBPyConnection) -> None:
    with suppress(duckdb.Error):  # after a commit that failed there is no transaction any more
        con.execute("rollback")


def create_views(con: duckdb.DuckDBPyConnection, as_tables: Collection[str] = ()) -> None:
    """(Re)create every view and macro, in an order in which each finds what it reads. Skips `as_tables`, which are tables."""
    for definition in _definitions(sql_folder(), _observation_columns(con), frozenset(as_tables)):
        con.execute(definition)


def _observation_columns(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    return tuple(name for (name,) in con.execute(statement("select_observation_columns")).fetchall())


def _checksum_of_views(columns: tuple[str, ...]) -> str:
    return "views " + _checksum("\n".join(_definitions(sql_folder(), columns, frozenset())))


@cache
def _definitions(folder: Path, columns: tuple[str, ...], as_tables: frozenset[str]) -> list[str]:
    """The statements that create the views, except those in `as_tables`, and then the macros.

    columns: of observation_versions. In a view, {marks} stands for the columns variable, value, flag and check, which make a row
    of each variable of an observation, and {medians} for one column of median forecasts per variable. In a macro, {attached}
    stands for the beginning of a query, up to the name of a table, on the database attached as attached_as: macros, unlike
    views, look for tables where their caller stands.
    """
    variables = [name for name in columns if check_column(name) in columns]
    medians = ",\n        ".join(
        f"any_value(value) filter (variable = {literal(name)}) as {quoted(name)}" for name in variables
    )
    views = {
        path.stem: path.read_text().replace("{marks}", _marks(variables)).replace("{medians}", medians)
        for path in sorted((folder / "views").glob("*.sql"))
        if path.stem not in as_tables
    }
    macros = [path.read_text().replace("{attached}", _ATTACHED) for path in sorted((folder / "macros").glob("*.sql"))]
    return order_views(views) + macros


def _marks(variables: Sequence[str]) -> str:
    """The columns variable, value, flag and check of an observation, a row for each variable.

    They are what `unpivot` makes of such columns; DuckDB 1.5.0 to 1.5.3 cannot read an unpivot of several columns in a view.
    """
    lists = {
        "variable": [literal(name) for name in variables],
        "value": [quoted(name) for name in variables],
        "flag": [quoted(flag_column(name)) for name in variables],
        '"check"': [quoted(check_column(name)) for name in variables],
    }
    return ",\n        ".join(f"unnest([{', '.join(items)}]) as {name}" for name, items in lists.items())


def order_views(views: dict[str, str]) -> list[str]:
    """The definitions of views, each after those of the views whose names it contains."""
    words = {name: set(_WORD.findall(_COMMENT.sub("", text))) - {name} for name, text in views.items()}
    reads = {name: sorted(found & views.keys()) for name, found in words.items()}
    return [views[name] for name in TopologicalSorter(reads).static_order()]
