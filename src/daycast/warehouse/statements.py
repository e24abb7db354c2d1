"""The database explains itself: a comment on every public table, view, macro and column."""

import re
from functools import cache
from pathlib import Path

import duckdb

import daycast
from daycast.variables import check_column, flag_column

# The SQL of the project, read from sql/: named statements, one file a family of tables.

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def sql_folder() -> Path:
    """The folder of SQL files."""
    return daycast.resource_folder("sql")


def statement(name: str) -> str:
    """The statement of this name, whichever file of sql/queries it stands in."""
    return statements()[name]


@cache
def statements() -> dict[str, str]:
    """Every statement of sql/queries by its name: in each file one begins with a line `-- name: NAME`."""
    named: dict[str, str] = {}
    for path in sorted((sql_folder() / "queries").glob("*.sql")):
        _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
        named.update(zip(parts[::2], (text.strip().removesuffix(";") for text in parts[1::2]), strict=True))
    return named


def quoted(identifier: str) -> str:
    """An identifier as SQL writes it, whatever characters it holds."""
    return '"' + identifier.replace('"', '""') + '"'


_UNCOMMENTED = """
select table_name, column_name from duckdb_columns()
where database_name = current_database() and not internal and comment is null
"""
_TABLES = "select table_name from duckdb_tables() where database_name = current_database()"


def write_comments(con: duckdb.DuckDBPyConnection) -> None:
    """Comment on the views and macros of the current database, and on each column that has no comment yet.

    A view or macro is explained by the lines that its file begins with, also where a view was made a table; a column by what
    its name means everywhere.
    """
    tables = {name for (name,) in con.execute(_TABLES).fetchall()}
    for kind, folder in (("view", "views"), ("macro table", "macros")):
        for path in sorted((sql_folder() / folder).glob("*.sql")):
            what = "table" if path.stem in tables else kind
            con.execute(f"comment on {what} {quoted(path.stem)} is {literal(leading_comment(path.read_text()))}")
    columns = con.execute(_UNCOMMENTED).fetchall()
    meanings = _meanings(con, [column for _, column in columns])
    for table, column in columns:
        if meaning := meanings.get(f"{table}.{column}") or meanings.get(column):
            con.execute(f"comment on column {quoted(table)}.{quoted(column)} is {literal(meaning)}")


def _meanings(con: duckdb.DuckDBPyConnection, columns: list[str]) -> dict[str, str]:
    """What each name means; a variable is known by the check that stands beside it."""
    meanings = dict(con.execute(statement("select_column_meanings")).fetchall())
    for name in (name for name in columns if check_column(name) in columns):
        meanings[name] = "The value of the hour, in the unit that the name ends in; null where there is none."
        meanings[f"next_hours.{name}"] = (
            "The median forecast of the hour, in the unit that the name ends in; null where it is not forecast."
        )
        meanings[flag_column(name)] = f"Of {name}: 1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing (QARTOD)."
        meanings[check_column(name)] = f"The check that decided the flag of {name}; null where none did."
    return meanings


def leading_comment(sql: str) -> str:
    """The comment that a file of SQL begins with, as one line of text."""
    lines: list[str] = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
