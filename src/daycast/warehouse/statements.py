"""The SQL of the project, read from sql/: one statement a file, named after what it does."""

from functools import cache
from pathlib import Path

import daycast


@cache
def sql_folder() -> Path:
    """The folder of SQL files."""
    return daycast.resource_folder("sql")


@cache
def statement(name: str) -> str:
    """The text of sql/queries/NAME.sql."""
    return (sql_folder() / "queries" / f"{name}.sql").read_text()


def quoted(identifier: str) -> str:
    """An identifier as SQL writes it, whatever characters it holds."""
    return '"' + identifier.replace('"', '""') + '"'
