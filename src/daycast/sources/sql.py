"""Readings from a query: of other DuckDB files, of PostgreSQL, of any file that DuckDB reads."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import duckdb
import polars as pl
import pyarrow as pa
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, StringConstraints, model_validator

from daycast.errors import SourceError
from daycast.sources.delivery import Delivery
from daycast.sources.stop import find_stop
from daycast.sources.tables.calendar import earlier
from daycast.sources.tables.fingerprint import fingerprint
from daycast.sources.tables.forecast_columns import unused
from daycast.sources.tables.local_time import WallClocks
from daycast.sources.tables.mapped_columns import declared_units
from daycast.sources.tables.short_forms import Duration
from daycast.sources.tables.sql_attach import Attachment, file_if_bare, reading_connection, secrets_of
from daycast.sources.tables.sql_query import first_line, parameters_of, validate_query
from daycast.sources.tables.typed_table import TypedTable, validate_columns
from daycast.stations import STATION_SCHEMA
from daycast.times import DAY
from daycast.variables import Variable

PIECE_ROWS = 1_000_000  # what is held in memory at once
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
    ) -> Iterator[Delivery]:
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
    ) -> Iterator[Delivery]:
        since = since and earlier(since, self.look_back, self.reporting_delay)
        clocks = WallClocks(self.timezone)
        for first_row, table in self._pieces(since or _FIRST, until):
            origin = f"{self.name} from row {first_row:,}"
            read_as = self._fingerprint(table, variables)
            if read_as in seen:
                continue
            # a receipt that is assumed tells nothing of what the query left out, so nothing more is left out here
            span = (None if self.resumes and self.received is None else since, until)
            rows = self.read(table, self.station.constant, self.received, span, variables, origin, clocks)
            yield Delivery(
                origin=origin,
                fingerprint=read_as,
                readings=rows.readings,
                raw=rows.raw,
                problems=rows.problems,
                complete=rows.complete,
                receipt="stated" if self.received else "assumed",
                waiting=rows.waiting,
            )

    def _pieces(self, since: datetime, until: datetime) -> Iterator[tuple[int, pl.DataFrame]]:
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
                answer = con.execute(self.query, asked).to_arrow_reader(PIECE_ROWS)
                validate_columns(needed, answer.schema.names, f"source {self.name!r}: the query's answer")
                for piece in answer:
                    yield first_row, _as_frame(piece.select(needed))
                    first_row += piece.num_rows
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


def _as_frame(piece: pa.RecordBatch) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(piece))  # a record batch never becomes a series


def find_reason(con: duckdb.DuckDBPyConnection, query: str, asked: Mapping[str, datetime]) -> str:
    """What a query fails of, asked again of one thread: of several, one that was only told to stop may be the first to speak."""
    con.execute("set threads = 1")
    try:
        for _ in con.execute(query, asked).to_arrow_reader(PIECE_ROWS):
            pass
    except _FAILURES as error:
        return str(error)
    return "it was interrupted"
