"""The source of kind "sql": readings from a query of DuckDB and SQLite files, PostgreSQL and MySQL servers, or other files.

Order: what a query may be (`validate_query`), the databases it reads, attached read-only (`open_databases`), and the source.
"""

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import duckdb
import polars as pl
import pyarrow as pa
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from daycast.duckdb_extensions import load_extension
from daycast.duckdb_results import query_arrow
from daycast.errors import ConfigError, SourceError
from daycast.sources.batch import SourceBatch, declared_units, find_stop, fingerprint, mapping_text
from daycast.sources.context import SettingsInContext
from daycast.sources.tables.columns import keys_if_unset
from daycast.sources.tables.short_forms import Duration, VariableName, shown_name
from daycast.sources.tables.times import earlier
from daycast.sources.tables.typed_table import TypedTable, validate_columns
from daycast.sources.tables.values import WrongTypeError
from daycast.sources.tables.wall_clock import WallClocks
from daycast.stations import STATION_SCHEMA
from daycast.times import DAY
from daycast.variables import Variable

MOMENTS = {"since", "until"}


def validate_query(query: str) -> str:
    """Return the query if it is one select statement with no parameters except $since and $until; raise ValueError if not."""
    try:
        statements = _statements(query)
    except duckdb.Error as error:
        raise ValueError(f"the query cannot be read: {first_line(str(error))}") from None
    if len(statements) != 1:
        raise ValueError(f"the query must be one select statement, but it has {len(statements)} statements")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise ValueError(f"the query must be a select statement, but it is {statements[0].type.name}")
    unknown = sorted(parameters_of(query) - MOMENTS)
    if unknown:
        raise ValueError(f"the query has the parameter ${unknown[0]}: there are only $since and $until")
    return query


@cache
def parameters_of(query: str) -> frozenset[str]:
    """The names of the parameters in a query, without the dollar sign."""
    return frozenset(name for statement in _statements(query) for name in statement.named_parameters)


def first_line(message: str) -> str:
    """What went wrong, in one line, without the hints that DuckDB and polars add."""
    line, _, rest = message.strip().partition("\n")
    if line.endswith(":"):
        line += " " + rest.partition("\n")[0]
    return line.partition(" Hint: ")[0][:300]


def _statements(query: str) -> list[duckdb.Statement]:
    with duckdb.connect(":memory:") as con:
        return con.extract_statements(query)


class Attachment(BaseModel):
    """A database: a DuckDB or SQLite file, or the environment variable that holds the address of a server's database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = None  # relative to the configuration's folder
    postgres_env: VariableName | None = None  # holds libpq's connection string or URI, which is never shown
    mysql_env: VariableName | None = (
        None  # of MySQL or MariaDB: mysql://user:password@host/database, which is never shown
    )

    @model_validator(mode="after")
    def _validate_one(self) -> "Attachment":
        if len([one for one in (self.file, self.postgres_env, self.mysql_env) if one is not None]) != 1:
            raise ValueError("give exactly one of file, postgres_env and mysql_env")
        return self

    @property
    def env(self) -> str | None:
        """The environment variable that holds the address; None for a file."""
        return self.postgres_env or self.mysql_env


def file_if_bare(value: Any) -> Any:
    """`{"file": value}` if `value` is text; otherwise `value` unchanged."""
    return {"file": value} if isinstance(value, str) else value


@contextmanager
def open_databases(
    attach: Mapping[str, Attachment], folder: Path, environment: Mapping[str, str], name: str
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory, in UTC, with every database of `attach` under its alias; files are looked for in `folder` too.

    It spills to a temporary folder and installs no extension. Raises ConfigError for an environment variable that is not
    set. Raises SourceError naming the source `name` and the alias for a database that cannot be attached.
    """
    with tempfile.TemporaryDirectory(prefix="daycast-") as spill, duckdb.connect(":memory:") as con:
        con.execute("set autoinstall_known_extensions = false; set TimeZone = 'UTC'")
        con.execute(f"set temp_directory = {_quoted(spill)}; set file_search_path = {_quoted(str(folder.resolve()))}")
        for alias, attachment in attach.items():
            where = f"source {name!r}: database {alias!r}"
            if attachment.file is not None:
                _attach_file(con, alias, folder / Path(attachment.file).expanduser(), where)
            else:
                server = _POSTGRES if attachment.postgres_env else _MYSQL
                _attach_server(con, alias, server, _secret(attachment.env or "", environment, where), where)
        yield con


def secrets_of(attach: Mapping[str, Attachment], environment: Mapping[str, str]) -> list[str]:
    """The texts that no error message may show."""
    names = (attachment.env for attachment in attach.values() if attachment.env)
    return [environment[name] for name in names if environment.get(name)]


def _secret(variable: str, environment: Mapping[str, str], where: str) -> str:
    if not environment.get(variable):
        raise ConfigError(
            f"{where} is reached through the environment variable {shown_name(variable)}, which is not set"
        )
    return environment[variable]


_SQLITE = b"SQLite format 3\0"  # begins every file of SQLite: https://www.sqlite.org/fileformat.html, section 1.3


def _attach_file(con: duckdb.DuckDBPyConnection, alias: str, path: Path, where: str) -> None:
    if not path.is_file():
        raise SourceError(f"{where} is the file {path}, which does not exist")
    try:
        with path.open("rb") as file:
            is_sqlite = file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise SourceError(f"{where} cannot be read: {error.strerror}: {path}") from None
    if is_sqlite:
        _load(con, "sqlite_scanner", where)
    try:
        con.execute(f'attach {_quoted(str(path))} as "{alias}" ({"type sqlite, " if is_sqlite else ""}read_only)')
    except duckdb.Error as error:
        raise SourceError(f"{where} cannot be read: {first_line(str(error))}") from None


@dataclass(frozen=True)
class _Server:
    """A kind of database server, as DuckDB attaches it."""

    kind: str
    extension: str
    form: str  # of an address
    settings: str = ""


_POSTGRES = _Server("postgres", "postgres_scanner", "postgresql://user:password@host:port/database")
_MYSQL = _Server(
    "mysql",
    "mysql_scanner",
    "mysql://user:password@host:port/database",
    "set mysql_session_time_zone = '+00:00'",  # else TIMESTAMP columns come in the server's own zone, without saying so
)


def _attach_server(con: duckdb.DuckDBPyConnection, alias: str, server: _Server, address: str, where: str) -> None:
    _load(con, server.extension, where)
    con.execute(server.settings)
    try:
        con.execute(f'attach {_quoted(address)} as "{alias}" (type {server.kind}, read_only)')
    except duckdb.Error as error:
        reason = _reason(str(error), address) or f"its address is not understood; write {server.form}"
        raise SourceError(f"{where} cannot be reached: {reason}").passing() from None


def _load(con: duckdb.DuckDBPyConnection, extension: str, where: str) -> None:
    try:
        load_extension(con, extension)
    except duckdb.Error:
        install = "pip install 'daycast[databases]'"
        raise SourceError(f"{where} needs DuckDB's extension {extension}, which is not installed: {install}") from None


def _reason(message: str, address: str) -> str:
    """Why a server was not reached: what follows the address, which DuckDB repeats in its message; empty if nothing does.

    Quoted parts are left out, and the host that MySQL adds: they may be pieces of the address, and of the password if the
    address is malformed.
    """
    _, found, reason = message.rpartition(address)
    told = first_line(reason.lstrip('": \n')).partition(". Attempted host: ")[0]
    return re.sub(r"(?<!\w)'.*'", "'…'", re.sub(r'"[^"]*"', '"…"', told)) if found else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*")
_MISMATCH = re.compile(r'Mismatch Type Error: .*column "([^"]+)"')
CHUNK_ROWS = 1_000_000  # that are held in memory at once
_FAILURES = (duckdb.Error, pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
_READER_VERSION = 1  # raise it if equal rows and settings give other readings: they are ingested again
# $since at the first ingest: before all measured weather, and in the range of nanosecond timestamps
_EARLIEST_SINCE = datetime(1800, 1, 1, tzinfo=UTC)
_NOT_IN_FINGERPRINT = {"query", "attach", "look_back", "station_list", "tolerance"}

Alias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class SqlSource(SettingsInContext, TypedTable):
    """A `[[sources]]` table of kind "sql": a select statement in DuckDB's dialect, whose columns are described as in TypedTable.

    $since and $until in the query are the moments between which readings are asked for (timestamptz). $since is `look_back`
    plus `reporting_delay` before the last ingest, so that late readings are found; at the first ingest it is the year 1800.
    A query without $since is run in full each time, and rows that were ingested before are recognised. A column `received`
    states the receipt; otherwise it is assumed from `reporting_delay`.

    Databases are attached read-only; `file` is relative to `folder` in the validation context. Other files that the query
    names are looked for in the working directory, then in that folder.
    """

    kind: Literal["sql"] = "sql"
    query: Annotated[str, AfterValidator(validate_query)]
    attach: dict[Alias, Annotated[Attachment, BeforeValidator(file_if_bare)]] = Field(default_factory=dict)
    received: str | None = None
    look_back: Duration = DAY

    @model_validator(mode="after")
    def _validate_station(self) -> "SqlSource":
        if self.station.file_name is not None:
            raise ValueError("station.file_name needs files: select the station as a column, or give station.constant")
        if self.forecast is not None and self.forecast.received is not None:
            raise ValueError(
                f"forecast.received is for files: write received = {self.forecast.received!r} beside query"
            )
        return self

    @property
    def resumes(self) -> bool:
        """Whether the query asks only for what is new."""
        return "since" in parameters_of(self.query)

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield the result in batches of CHUNK_ROWS rows, without those received after `until`; see Source.

        Raises ConfigError for a variable or unit that does not exist before the query runs, and for an environment variable
        that is not set. Raises SourceError with the reason if the query fails, after the batches that came before.
        """
        self.readers(variables)
        return self._batches(since, until, variables, seen)

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA), empty if none is configured. Raises SourceError if it cannot be read."""
        if self.station_list is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return self.station_list.read(self._folder, (), ".")

    def _batches(
        self, since: datetime | None, until: datetime, variables: Mapping[str, Variable], seen: Collection[str]
    ) -> Iterator[SourceBatch]:
        since = since and earlier(since, self.look_back, self.reporting_delay)
        clocks = WallClocks(self.timezone)
        for first_row, table in self._chunks(since or _EARLIEST_SINCE, until):
            origin = f"{self.name} from row {first_row:,}"
            batch_fingerprint = self._fingerprint(table, variables)
            if batch_fingerprint in seen:
                continue
            # an assumed receipt does not tell what the query left out, so no further row is left out here
            span = (None if self.resumes and self.received is None else since, until)
            try:
                rows = self.read(table, self.station.constant, self.received, span, variables, origin, clocks)
            except WrongTypeError as error:
                raise SourceError(f"{error}{_cast_in_query(error)}") from None
            yield SourceBatch(
                origin=origin,
                fingerprint=batch_fingerprint,
                readings=rows.readings,
                raw=rows.raw,
                problems=rows.problems,
                bad_values=rows.bad_values,
                complete=rows.complete,
                receipt="stated" if self.received else "assumed",
                waiting=rows.waiting,
                accumulations=self.accumulations(variables),
                doubts=rows.doubts,
                tolerance=self.tolerance,
            )

    def _chunks(self, since: datetime, until: datetime) -> Iterator[tuple[int, pl.DataFrame]]:
        """(number of its first row, from 1; the needed columns) of each chunk of the result."""
        moments = {"since": since, "until": until}
        parameters = {name: moments[name] for name in parameters_of(self.query)}
        needed = list(dict.fromkeys([*self.needed, *([self.received] if self.received else [])]))
        stop = find_stop()
        with (
            open_databases(self.attach, self._folder, self._environment, self.name) as con,
            stop.callback(con.interrupt),
        ):
            first_row = 1
            try:
                result = query_arrow(con, self.query, parameters).to_arrow_reader(CHUNK_ROWS)
                validate_columns(needed, result.schema.names, f"source {self.name!r}: the query's answer")
                for chunk in result:
                    yield first_row, _as_frame(chunk.select(needed))
                    first_row += chunk.num_rows
            except _FAILURES as error:
                stop.check()
                message = find_reason(con, self.query, parameters) if "INTERRUPT" in str(error) else str(error)
                told = first_line(self._without_secrets(message)).removesuffix(".") + _other_type(message)
                raise SourceError(f"source {self.name!r}: {told}") from None

    def _without_secrets(self, text: str) -> str:
        for secret in secrets_of(self.attach, self._environment):
            text = text.replace(secret, "(its address)")
        return text

    def mapping(self, variables: Mapping[str, Variable]) -> str:
        """How the answer is read, and the query, which may convert too; see Source."""
        left_out = {"name", "attach", "look_back", "station_list", "tolerance"}
        settings = self.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
        return mapping_text(_READER_VERSION, settings, declared_units(self.columns, variables))

    def _fingerprint(self, table: pl.DataFrame, variables: Mapping[str, Variable]) -> str:
        reading = {
            "version": _READER_VERSION,
            "settings": self.model_dump(
                mode="json", exclude={*_NOT_IN_FINGERPRINT, *keys_if_unset("forecast", self.forecast)}
            ),
            "declared": declared_units(self.columns, variables),
        }
        return fingerprint(table.write_ipc(None).getvalue(), reading)


def _cast_in_query(error: WrongTypeError) -> str:
    """The end of a message: what to select in place of a column of another type."""
    column = error.column if _PLAIN_NAME.fullmatch(error.column) else '"' + error.column.replace('"', '""') + '"'
    is_text, is_number = error.dtype in (pl.String, pl.Binary), error.dtype.is_numeric()
    text = f"{column}::varchar" if error.dtype == pl.Binary else column
    if error.wanted == "time" and is_text:
        return (
            f"; write {text}::timestamp as {column} in the query, or ::timestamptz if the text has an offset from UTC"
        )
    if error.wanted in {"time", "epoch"} and is_number:
        epoch = "" if error.wanted == "epoch" else ', and set time.epoch = "s" if it counts seconds since 1970, or "ms"'
        return f"; write cast({column} as bigint) as {column} in the query{epoch}"
    if error.wanted == "epoch":
        return f"; write {text}::bigint as {column} in the query, or leave epoch out and write {text}::timestamp"
    if error.wanted == "value":
        return f"; write try_cast({text} as double) as {column} in the query"
    return f"; write cast({column} as timestamp) as {column} in the query" if error.wanted == "time" else ""


def _other_type(message: str) -> str:
    """The end of a message about a SQLite table whose column holds values of another type than it declares."""
    found = _MISMATCH.search(message)
    if found is None:
        return ""
    column = found[1]
    return (
        f"; SQLite keeps both, so write try_cast({column} as double) as {column} in the query, and read from "
        f"sqlite_query('alias of the database', 'select …, cast({column} as text) as {column} from …')"
    )


def _as_frame(chunk: pa.RecordBatch) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(chunk))  # a record batch is always a frame, never a series


def find_reason(con: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, datetime]) -> str:
    """Why a query fails: it runs again on one thread.

    With several threads, the first message may come from a thread that was only told to stop.
    """
    con.execute("set threads = 1")
    try:
        for _ in query_arrow(con, query, parameters).to_arrow_reader(CHUNK_ROWS):
            pass
    except _FAILURES as error:
        return str(error)
    return "it was interrupted"
