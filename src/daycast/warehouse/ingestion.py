"""Writing what a source delivered: readings, refusals, observations and the batch's account, in one transaction."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

import duckdb
import polars as pl

from daycast.warehouse.connect import frames, transaction
from daycast.warehouse.statements import statement


@dataclass(frozen=True)
class Batch:
    """The account of one delivery; rows_delivered = rows_kept + rows_refused, and rows_repeated of the kept brought no news."""

    batch_id: str
    source: str
    origin: str
    fingerprint: str
    complete: bool
    received_until: datetime
    rows_delivered: int
    rows_kept: int
    rows_repeated: int
    rows_refused: int
    ingested_at: datetime


def read_watermark(con: duckdb.DuckDBPyConnection, source: str) -> datetime | None:
    """Up to which receipt `source` has been taken in; None before the first time."""
    frame = con.sql(statement("select_watermark"), params={"source": source}).pl()
    return None if frame.is_empty() else frame.item()


def write_watermark(con: duckdb.DuckDBPyConnection, source: str, received_until: datetime) -> None:
    """Record that everything `source` received up to `received_until` has been taken in."""
    with transaction(con):
        con.execute(statement("delete_watermark"), {"source": source})
        con.execute(statement("insert_watermark"), {"source": source, "received_until": received_until})


def read_seen(con: duckdb.DuckDBPyConnection, source: str) -> Collection[str]:
    """Fingerprints of the pieces of `source` that were ingested complete."""
    return set(con.sql(statement("select_seen"), params={"source": source}).pl()["fingerprint"])


def has_batch(con: duckdb.DuckDBPyConnection, batch_id: str) -> bool:
    """Whether this very batch was ingested before."""
    return bool(con.execute(statement("select_batch"), {"batch_id": batch_id}).fetchall())


def upsert_stations(con: duckdb.DuckDBPyConnection, listed: pl.DataFrame, unlisted: pl.DataFrame) -> None:
    """Write the stations a source lists, replacing their former rows, and those it only mentions, where they are new.

    Call inside a transaction.
    """
    with frames(con, listed=listed, unlisted=unlisted):
        con.execute(statement("delete_stations"))
        con.execute(statement("insert_stations"))
        con.execute(statement("insert_unlisted_stations"))


def read_readings_at(
    con: duckdb.DuckDBPyConnection, instants: pl.DataFrame, variables: Collection[str]
) -> pl.DataFrame:
    """The stored readings of the stations and instants (station_id, observed_at) in `instants`."""
    return _semi_join(con, instants, "select_readings_at", variables)


def read_readings_of_hours(
    con: duckdb.DuckDBPyConnection, hours: pl.DataFrame, variables: Collection[str]
) -> pl.DataFrame:
    """The stored readings that make up the stations and hours (station_id, hour) in `hours`."""
    return _semi_join(con, hours, "select_readings_of_hours", variables)


def append_batch(con: duckdb.DuckDBPyConnection, batch: Batch, readings: pl.DataFrame, rejected: pl.DataFrame) -> None:
    """Store a batch's readings and refusals and its account. Call inside a transaction, together with replace_versions."""
    with frames(con, news=readings, refusals=rejected):
        con.execute(statement("insert_readings"))
        con.execute(statement("insert_rejected_readings"))
    con.execute(statement("insert_batch"), asdict(batch))


def replace_versions(con: duckdb.DuckDBPyConnection, versions: pl.DataFrame) -> None:
    """Put these observation versions in place of all versions of their stations and hours. Call inside a transaction."""
    hours = versions.select("station_id", "observed_at").unique()
    with frames(con, versions=versions, hours=hours):
        con.execute(statement("delete_observation_versions"))
        con.execute(statement("insert_observation_versions"))


def _semi_join(
    con: duckdb.DuckDBPyConnection, keys: pl.DataFrame, query: str, variables: Collection[str]
) -> pl.DataFrame:
    with frames(con, keys=keys):
        frame = con.sql(statement(query)).pl()
    return frame.select("station_id", "observed_at", "received_at", "row_number", *variables)
