"""The SQL of the project: named statements of sql/queries, quoting, and the comments that document the database.

Each file of sql/queries holds the statements of one family of tables; each statement begins with a line `-- name: NAME`.
"""

import re
from functools import cache
from pathlib import Path

import duckdb

import daycast
from daycast.variables import check_column, flag_column

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_TABLES = "select table_name from duckdb_tables() where database_name = current_database()"
_UNCOMMENTED = """
select table_name, column_name from duckdb_columns()
where database_name = current_database() and not internal and comment is null
"""


@cache
def sql_folder() -> Path:
    """The folder sql/: migrations, queries, views, macros, cookbook."""
    return daycast.resource_folder("sql")


def statement(name: str) -> str:
    """The statement of this name, from whichever file of sql/queries has it. Raises KeyError if there is none."""
    return statements()[name]


@cache
def statements() -> dict[str, str]:
    """Every statement of sql/queries by its name, without the closing semicolon."""
    statements_by_name: dict[str, str] = {}
    for path in sorted((sql_folder() / "queries").glob("*.sql")):
        _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
        statements_by_name.update(
            zip(parts[::2], (text.strip().removesuffix(";") for text in parts[1::2]), strict=True)
        )
    return statements_by_name


def quoted(identifier: str) -> str:
    """An identifier, quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def write_comments(con: duckdb.DuckDBPyConnection) -> None:
    """Write comments on the views and macros of the current database, and on every column that has none.

    A view's or macro's comment is the leading comment of its file, also where the view was published as a table. A column's
    comment is the meaning of its name (`select_column_meanings`).
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
    """The meaning of each column name. A name is a variable if it has a check column beside it."""
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
    """The comment at the beginning of a SQL file, as one line of text."""
    lines: list[str] = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)
