"""Reading a source again: `mappings`, `rereads`, `restatements`, and what was retracted of `readings` and `external_forecasts`.

Times are UTC. Functions that write belong into one transaction with what they go with.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl

from daycast.features.restate import Restated
from daycast.warehouse.append_only import touch
from daycast.warehouse.readings import BatchRecord, CounterKey, append_batches, write_counter
from daycast.warehouse.statements import statement
from daycast.warehouse.warehouse import frames, insert, read_frame, transaction

_BEFORE_EVERYTHING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class RowTable:
    """A table of rows that sources deliver."""

    name: str
    key: tuple[str, ...]
    instant: str  # the column of the key by which it is divided

    def statement(self, name: str) -> str:
        """A statement about this table."""
        return statement(name).replace("{table}", self.name).replace("{instant}", self.instant)


READINGS = RowTable("readings", ("station_id", "observed_at"), "observed_at")
EXTERNAL_FORECASTS = RowTable("external_forecasts", ("station_id", "issued_at", "valid_at"), "issued_at")


@dataclass(frozen=True)
class Reread:
    """A source that is being read again. since: only what was observed from then on; None: everything."""

    source: str
    since: datetime | None
    begun_at: datetime


def read_mapping(con: duckdb.DuckDBPyConnection, source: str) -> str | None:
    """How the held rows of a source were read; None if that was never written."""
    frame = read_frame(con, "select_mapping", source=source)
    return None if frame.is_empty() else frame.item()


def write_mapping(con: duckdb.DuckDBPyConnection, source: str, mapping: str) -> None:
    """Record how the held rows of a source were read. Call inside a transaction."""
    con.execute(statement("delete_mapping"), {"source": source})
    con.execute(statement("insert_mapping"), {"source": source, "mapping": mapping})


def read_reread(con: duckdb.DuckDBPyConnection, source: str) -> Reread | None:
    """The reread of a source that is under way."""
    frame = read_frame(con, "select_reread", source=source)
    return None if frame.is_empty() else Reread(source, *frame.row(0))


def make_reread(con: duckdb.DuckDBPyConnection, source: str, since: datetime | None, now: datetime) -> Reread:
    """A reread that begins now; later than the one before it, whatever the clock says."""
    last: datetime | None = read_frame(con, "select_last_reread", source=source).item()
    return Reread(source, since, now if last is None else max(now, last + timedelta(microseconds=1)))


def write_reread(con: duckdb.DuckDBPyConnection, reread: Reread) -> None:
    """Record that a source is being read again, in place of an earlier reread of it. Call inside a transaction."""
    con.execute(statement("delete_reread"), {"source": reread.source})
    con.execute(statement("insert_reread"), asdict(reread))


def end_reread(
    con: duckdb.DuckDBPyConnection, reread: Reread, mapping: str | None, now: datetime, rows_left: int
) -> int:
    """Record that a reread is over, and how the source is read now. Returns how many rows it retracted.

    Stations of which nothing is held any more are deleted.
    """
    with transaction(con):
        retracted = read_frame(con, "select_retracted_count", source=reread.source, since=reread.begun_at).item()
        con.execute(statement("delete_unread_stations"), {"source": reread.source, "since": reread.begun_at})
        if mapping is not None:
            write_mapping(con, reread.source, mapping)
        con.execute(statement("delete_reread"), {"source": reread.source})
        ended = {"ended_at": now, "mapping": mapping, "rows_retracted": retracted, "rows_left": rows_left}
        con.execute(statement("insert_restatement"), asdict(reread) | ended)
    return int(retracted)


def read_months(con: duckdb.DuckDBPyConnection, table: RowTable, source: str, since: datetime | None) -> list[datetime]:
    """The months that have rows of a source, from `since` on."""
    query = table.statement("select_months_of_source")
    found = con.execute(query, {"source": source, "since": since or _BEFORE_EVERYTHING}).fetchall()
    return [month for (month,) in found]


def read_origins(con: duckdb.DuckDBPyConnection, table: RowTable, source: str) -> pl.DataFrame:
    """origin, first, n: the first instant and the number of rows of each origin of a source; null and 0 where no row is held."""
    query = table.statement("select_origins_of_source")
    return _as_frame(con.execute(query, {"source": source}))


def read_rows(con: duckdb.DuckDBPyConnection, table: RowTable, since: datetime, until: datetime) -> pl.DataFrame:
    """The rows of all sources in [since, until), with source, origin, mapping and is_stated."""
    return _as_frame(con.execute(table.statement("select_rows_of_month"), {"since": since, "until": until}))


def write_restated(con: duckdb.DuckDBPyConnection, table: RowTable, restated: Restated, now: datetime) -> None:
    """Put rows in the place of others, and keep those that were wrong aside. Call inside a transaction, with `mark_stale`."""
    insert(con, f"retracted_{table.name}", restated.retracted.with_columns(retracted_at=pl.lit(now)))
    with frames(con, gone=restated.gone):
        con.execute(table.statement("delete_rows"))
    for rows in (restated.stated, restated.fresh):
        insert(con, table.name, rows)
    if table is EXTERNAL_FORECASTS:
        touch(
            con, table.name, pl.concat([rows["issued_at"] for rows in (restated.gone, restated.stated, restated.fresh)])
        )


def copy_batches(
    source_con: duckdb.DuckDBPyConnection, con: duckdb.DuckDBPyConnection, source: str, since: datetime | None
) -> list[BatchRecord]:
    """Copy the records of the batches of a source, their rejected rows and counters from another warehouse; returns the records.

    Batches that are there already are left out. Call inside a transaction of `con`.
    """
    held = set(read_frame(con, "select_batches_of_source", source=source)["batch_id"])
    names = [field.name for field in fields(BatchRecord)]
    found = read_frame(source_con, "select_batches_of_source", source=source).select(names)
    records = [BatchRecord(**row) for row in found.iter_rows(named=True)]
    new = [record for record in records if record.batch_id not in held]
    rejected = read_frame(source_con, "select_rejected_of_source", source=source)
    append_batches(con, new, None, rejected.filter(pl.col("batch_id").is_in([one.batch_id for one in new])))
    for counter, numbers in _counters(source_con, source, since or _BEFORE_EVERYTHING):
        write_counter(con, counter, numbers)
    return records


def _counters(
    con: duckdb.DuckDBPyConnection, source: str, since: datetime
) -> Iterator[tuple[CounterKey, pl.DataFrame]]:
    held = read_frame(con, "select_counters_of_source", source=source, since=since)
    for (counter, variable), numbers in held.group_by("counter", "variable", maintain_order=True):
        yield CounterKey(source, str(counter), str(variable)), numbers


def forget_numbers(
    con: duckdb.DuckDBPyConnection,
    again_con: duckdb.DuckDBPyConnection,
    source: str,
    variable: str,
    instants: pl.DataFrame,
) -> None:
    """Delete the numbers of counters at `instants` (station_id, observed_at) that were not read again. In a transaction."""
    since = instants["observed_at"].min()
    again = [numbers for key, numbers in _counters(again_con, source, since) if key.variable == variable]  # type: ignore[arg-type]
    keys = ["station_id", "observed_at"]
    read = pl.concat([instants.clear(), *(numbers.select(keys) for numbers in again)])
    with frames(con, numbers=instants.join(read, on=keys, how="anti")):
        con.execute(statement("delete_numbers"), {"source": source, "variable": variable})


def _as_frame(answer: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    frame = pl.from_arrow(answer.to_arrow_table())
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 (a table is no series)
    return frame
