"""Readings from a query: of other DuckDB files, of PostgreSQL, of any file that DuckDB reads."""

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
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
    PrivateAttr,
    StringConstraints,
    model_validator,
)

from daycast.errors import ConfigError, SourceError
from daycast.sources.batch import SourceBatch, find_stop, fingerprint
from daycast.sources.tables.columns import declared_units, unused
from daycast.sources.tables.short_forms import Duration, VariableName, shown_name
from daycast.sources.tables.times import WallClocks, earlier
from daycast.sources.tables.typed_table import TypedTable, validate_columns
from daycast.stations import STATION_SCHEMA
from daycast.times import DAY
from daycast.variables import Variable

# What an operator's query may be: one statement that reads, and which of the two moments it asks for.


MOMENTS = {"since", "until"}


def validate_query(query: str) -> str:
    """Return the query if it is one select statement with no parameters but $since and $until; raise ValueError if not."""
    try:
        statements = _statements(query)
    except duckdb.Error as error:
        raise ValueError(f"the query cannot be read: {first_line(str(error))}") from None
    if len(statements) != 1:
        raise ValueError(f"the query must be one select statement, and it has {len(statements)} statements")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise ValueError(f"the query must be a select statement, and it is {statements[0].type.name}")
    unknown = sorted(parameters_of(query) - MOMENTS)
    if unknown:
        raise ValueError(f"the query has the parameter ${unknown[0]}: there are only $since and $until")
    return query


@cache
def parameters_of(query: str) -> frozenset[str]:
    """The names of the parameters in a query, without the dollar sign."""
    return frozenset(name for statement in _statements(query) for name in statement.named_parameters)


def first_line(message: str) -> str:
    """What went wrong, without the hints that DuckDB and polars let follow."""
    line, _, rest = message.strip().partition("\n")
    if line.endswith(":"):
        line += " " + rest.partition("\n")[0]
    return line.partition(" Hint: ")[0][:300]


def _statements(query: str) -> list[duckdb.Statement]:
    with duckdb.connect(":memory:") as con:
        return con.extract_statements(query)


# The databases that a query reads: DuckDB files and PostgreSQL servers, attached so that nothing can be written.


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


CHUNK_ROWS = 1_000_000  # what is held in memory at once
_FAILURES = (duckdb.Error, pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
_READER_VERSION = 1  # raise it when the same rows and configuration give other readings: then they are taken in again
_FIRST = datetime(
    1800, 1, 1, tzinfo=UTC
)  # $since at the first ingest: before all measured weather, within nanoseconds' reach
_CHANGES_NO_READING = {"query", "attach", "look_back", "station_list"}

Alias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class SqlSource(TypedTable):
    """A `[[sources]]` table of kind "sql": one select statement in DuckDB's dialect, whose columns are as TypedTable says.

    $since and $until in the query are the moments between which readings are asked for (timestamptz). $since lies
    `look_back` and `reporting_delay` before the last ingest, so that what came late is found; at the first ingest it is
    the year 1800. A query without $since is answered in full each time; what was taken in before is recognised.
    A column `received` states the receipt, else it is assumed from `reporting_delay`.
    Databases are attached read-only, `file` being relative to the folder in the validation context; other files that the
    query names are looked for in the working directory and then there.
    """

    kind: Literal["sql"] = "sql"
    query: Annotated[str, AfterValidator(validate_query)]
    attach: dict[Alias, Annotated[Attachment, BeforeValidator(file_if_bare)]] = Field(default_factory=dict)
    received: str | None = None
    look_back: Duration = DAY

    _folder: Path = PrivateAttr(default=Path())
    _environment: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any, /) -> None:
        """Remember the folder that files are relative to and the environment that secrets are in."""
        self._folder = Path((context or {}).get("folder", "."))
        self._environment = (context or {}).get("environment", {})

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
        """Whether the query asks for what is new."""
        return "since" in parameters_of(self.query)

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield the answer in pieces of PIECE_ROWS rows, without those received after `until`; see Source.

        Raises ConfigError for a variable or unit that does not exist, before anything is asked, and for an environment
        variable that is not set; SourceError with the reason where the query fails, after the pieces that came before.
        """
        self.readers(variables)
        return self._deliveries(since, until, variables, seen)

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA), empty if none is configured; raises SourceError if it cannot be read."""
        if self.station_list is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return self.station_list.read(self._folder, (), ".")

    def _deliveries(
        self, since: datetime | None, until: datetime, variables: Mapping[str, Variable], seen: Collection[str]
    ) -> Iterator[SourceBatch]:
        since = since and earlier(since, self.look_back, self.reporting_delay)
        clocks = WallClocks(self.timezone)
        for first_row, table in self._chunks(since or _FIRST, until):
            origin = f"{self.name} from row {first_row:,}"
            read_as = self._fingerprint(table, variables)
            if read_as in seen:
                continue
            # a receipt that is assumed tells nothing of what the query left out, so nothing more is left out here
            span = (None if self.resumes and self.received is None else since, until)
            rows = self.read(table, self.station.constant, self.received, span, variables, origin, clocks)
            yield SourceBatch(
                origin=origin,
                fingerprint=read_as,
                readings=rows.readings,
                raw=rows.raw,
                problems=rows.problems,
                complete=rows.complete,
                receipt="stated" if self.received else "assumed",
                waiting=rows.waiting,
            )

    def _chunks(self, since: datetime, until: datetime) -> Iterator[tuple[int, pl.DataFrame]]:
        """(number of its first row, from 1, and the needed columns) of each piece of the answer."""
        moments = {"since": since, "until": until}
        asked = {name: moments[name] for name in parameters_of(self.query)}
        needed = list(dict.fromkeys([*self.needed, *([self.received] if self.received else [])]))
        stop = find_stop()
        with (
            reading_connection(self.attach, self._folder, self._environment, self.name) as con,
            stop.cutting(con.interrupt),
        ):
            first_row = 1
            try:
                answer = con.execute(self.query, asked).to_arrow_reader(CHUNK_ROWS)
                validate_columns(needed, answer.schema.names, f"source {self.name!r}: the query's answer")
                for chunk in answer:
                    yield first_row, _as_frame(chunk.select(needed))
                    first_row += chunk.num_rows
            except _FAILURES as error:
                stop.check()
                told = find_reason(con, self.query, asked) if "INTERRUPT" in str(error) else str(error)
                raise SourceError(f"source {self.name!r}: {first_line(self._without_secrets(told))}") from None

    def _without_secrets(self, text: str) -> str:
        for secret in secrets_of(self.attach, self._environment):
            text = text.replace(secret, "(its address)")
        return text

    def _fingerprint(self, table: pl.DataFrame, variables: Mapping[str, Variable]) -> str:
        reading = {
            "version": _READER_VERSION,
            "settings": self.model_dump(
                mode="json", exclude={*_CHANGES_NO_READING, *unused("forecast", self.forecast)}
            ),
            "declared": declared_units(self.columns, variables),
        }
        return fingerprint(table.write_ipc(None).getvalue(), reading)


def _as_frame(chunk: pa.RecordBatch) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(chunk))  # a record batch never becomes a series


def find_reason(con: duckdb.DuckDBPyConnection, query: str, asked: Mapping[str, datetime]) -> str:
    """What a query fails of, asked again of one thread: of several, one that was only told to stop may be the first to speak."""
    con.execute("set threads = 1")
    try:
        for _ in con.execute(query, asked).to_arrow_reader(CHUNK_ROWS):
            pass
    except _FAILURES as error:
        return str(error)
    return "it was interrupted"
