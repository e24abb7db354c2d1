"""Bring a database to the schema this version knows: each migration once, each in one transaction, its checksum kept."""

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path

import duckdb

from daycast.errors import WarehouseError
from daycast.variables import Variable, check_column, flag_column
from daycast.warehouse.statements import quoted, sql_folder, statement


def is_current(con: duckdb.DuckDBPyConnection, variables: Iterable[Variable]) -> bool:
    """Whether nothing is left for `migrate` and `add_variable_columns` to do; writes nothing, raises as `migrate`."""
    if not con.execute(statement("select_migrations_table")).fetchall():
        return False
    applied = dict(con.execute(statement("select_migrations")).fetchall())
    files = {path.stem: path for path in (sql_folder() / "migrations").glob("*.sql")}
    _check_applied(applied, files)
    present = {name for (name,) in con.execute(statement("select_covariate_columns")).fetchall()}
    return set(files) == set(applied) and all(variable.name in present for variable in variables)


def migrate(con: duckdb.DuckDBPyConnection, now: datetime) -> list[str]:
    """Apply what is missing, in order; returns the names applied.

    On a failure the failed migration leaves nothing behind and the ones before it stay. Raises WarehouseError where an applied
    migration was edited afterwards, or where the file holds one that this version does not know.
    """
    con.execute(statement("create_migrations"))
    applied = dict(con.execute(statement("select_migrations")).fetchall())
    files = {path.stem: path for path in sorted((sql_folder() / "migrations").glob("*.sql"))}
    _check_applied(applied, files)
    missing = [name for name in files if name not in applied]
    for name in missing:
        _apply(con, name, files[name].read_text(), now)
    return missing


def _check_applied(applied: dict[str, str], files: dict[str, Path]) -> None:
    for name, checksum in applied.items():
        if name not in files:
            raise WarehouseError(f"the warehouse holds migration {name!r}, from a newer daycast: upgrade daycast")
        if checksum != _checksum(files[name].read_text()):
            raise WarehouseError(f"migration {name!r} was edited after it was applied here: restore the released file")


def _apply(con: duckdb.DuckDBPyConnection, name: str, text: str, now: datetime) -> None:
    con.execute("begin")
    try:
        con.execute(text)
        con.execute(statement("insert_migration"), {"name": name, "checksum": _checksum(text), "applied_at": now})
        con.execute("commit")
    except duckdb.Error as error:
        con.execute("rollback")
        raise WarehouseError(f"migration {name!r} failed and was undone: {error}") from error


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add_variable_columns(con: duckdb.DuckDBPyConnection, variables: Iterable[Variable]) -> None:
    """Give each variable its column in readings and covariates, and its column, flag and check in observation_versions.

    The column that is looked for comes last, so that what a killed process began is completed.
    """
    present = {name for (name,) in con.execute(statement("select_covariate_columns")).fetchall()}
    for name in (variable.name for variable in variables if variable.name not in present):
        con.execute(f"alter table readings add column if not exists {quoted(name)} double")
        add = "alter table observation_versions add column if not exists"
        con.execute(f"{add} {quoted(name)} double")
        con.execute(f"{add} {quoted(flag_column(name))} utinyint default 9")
        con.execute(f"{add} {quoted(check_column(name))} varchar")
        con.execute(f"alter table covariates add column if not exists {quoted(name)} double")


def create_views(con: duckdb.DuckDBPyConnection, made: Collection[str] = ()) -> None:
    """(Re)create every view, in an order in which each finds what it reads, and every macro; but not what was `made` a table.

    Where a view says {marks} it gets the flag and the check of every variable there is, as unpivot wants them.
    """
    first = ["observations", "champion", "forecast_errors"]
    names = first + sorted(path.stem for path in (sql_folder() / "views").glob("*.sql") if path.stem not in first)
    columns = [name for (name,) in con.execute(statement("select_observation_columns")).fetchall()]
    variables = [name for name in columns if check_column(name) in columns]
    marks = ", ".join(
        f"({quoted(flag_column(name))}, {quoted(check_column(name))}) as {quoted(name)}" for name in variables
    )
    for name in (name for name in names if name not in made):
        con.execute((sql_folder() / "views" / f"{name}.sql").read_text().replace("{marks}", marks))
    for path in sorted((sql_folder() / "macros").glob("*.sql")):
        con.execute(path.read_text())
