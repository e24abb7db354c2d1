"""The databases that a query reads: DuckDB files and PostgreSQL servers, attached so that nothing can be written."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from pydantic import BaseModel, ConfigDict, model_validator

from daycast.errors import ConfigError, SourceError
from daycast.sources.tables.short_forms import VariableName, shown_name
from daycast.sources.tables.sql_query import first_line


class Attachment(BaseModel):
    """Exactly one of: a DuckDB file, the name of an environment variable that holds how to reach a PostgreSQL database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = None  # relative to the configuration's folder
    postgres_env: VariableName | None = (
        None  # libpq's connection string or URI: it holds the password, so it is never shown
    )

    @model_validator(mode="after")
    def _validate_one(self) -> "Attachment":
        if (self.file is None) == (self.postgres_env is None):
            raise ValueError("give exactly one of file and postgres_env")
        return self


def file_if_bare(value: Any) -> Any:
    """A table that names the file `value`, where it is text; else `value` as it is."""
    return {"file": value} if isinstance(value, str) else value


@contextmanager
def reading_connection(
    attach: Mapping[str, Attachment], folder: Path, environment: Mapping[str, str], name: str
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory, in UTC, with every database of `attach` under its alias; files are found in `folder` too.

    It spills to a temporary folder and installs no extension. Raises ConfigError for an environment variable that is not
    set and SourceError, naming the source `name` and the alias, for a database that cannot be attached.
    """
    with tempfile.TemporaryDirectory(prefix="daycast-") as spill, duckdb.connect(":memory:") as con:
        con.execute("set autoinstall_known_extensions = false; set TimeZone = 'UTC'")
        con.execute(f"set temp_directory = {_quoted(spill)}; set file_search_path = {_quoted(str(folder.resolve()))}")
        for alias, attachment in attach.items():
            where = f"source {name!r}: database {alias!r}"
            if attachment.file is not None:
                _attach_file(con, alias, folder / Path(attachment.file).expanduser(), where)
            else:
                _attach_postgres(con, alias, _secret(attachment.postgres_env or "", environment, where), where)
        yield con


def secrets_of(attach: Mapping[str, Attachment], environment: Mapping[str, str]) -> list[str]:
    """What must not be shown of any error text."""
    names = (attachment.postgres_env for attachment in attach.values() if attachment.postgres_env)
    return [environment[name] for name in names if environment.get(name)]


def _secret(variable: str, environment: Mapping[str, str], where: str) -> str:
    if not environment.get(variable):
        raise ConfigError(
            f"{where} is reached through the environment variable {shown_name(variable)}, which is not set"
        )
    return environment[variable]


def _attach_file(con: duckdb.DuckDBPyConnection, alias: str, path: Path, where: str) -> None:
    if not path.is_file():
        raise SourceError(f"{where} is the file {path}, and there is none")
    try:
        con.execute(f'attach {_quoted(str(path))} as "{alias}" (read_only)')
    except duckdb.Error as error:
        raise SourceError(f"{where} cannot be read: {first_line(str(error))}") from None


def _attach_postgres(con: duckdb.DuckDBPyConnection, alias: str, address: str, where: str) -> None:
    try:
        con.execute("load postgres")
    except duckdb.Error:
        install = "python -c \"import duckdb; duckdb.sql('install postgres')\""
        raise SourceError(f"{where} needs DuckDB's extension postgres, which is not installed: run {install}") from None
    try:
        con.execute(f'attach {_quoted(address)} as "{alias}" (type postgres, read_only)')
    except duckdb.Error as error:
        raise SourceError(f"{where} cannot be reached: {_reason(str(error), address)}") from None


def _reason(message: str, address: str) -> str:
    """Why PostgreSQL was not reached: what stands behind the address, which DuckDB repeats.

    What is quoted in it may be a piece of the address, where that is malformed even of the password, and is left out.
    """
    _, found, reason = message.rpartition(address)
    return re.sub(r'"[^"]*"', '"…"', first_line(reason.lstrip('": \n'))) if found else "no reason is given"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
