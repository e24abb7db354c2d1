"""Writing what a source delivered: readings, refusals and the account of each batch, in one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import duckdb
import polars as pl

from daycast.times import UTC_TIME
from daycast.warehouse.statements import statement
from daycast.warehouse.warehouse import frames, insert, read_frame, transaction


@dataclass(frozen=True)
class Batch:
    """The account of one delivery: rows_delivered = rows_kept + rows_refused; rows_repeated of the kept brought no news, and
    rows_revised of them something new of an instant that was known already.

    reason: why the delivery was refused whole; None where it was taken in.
    """

    batch_id: str
    source: str
    origin: str
    fingerprint: str
    complete: bool
    received_until: datetime
    rows_delivered: int
    rows_kept: int
    rows_repeated: int
    rows_revised: int
    rows_refused: int
    ingested_at: datetime
    reason: str | None = None


def read_watermark(con: duckdb.DuckDBPyConnection, source: str) -> datetime | None:
    """Up to which receipt `source` has been taken in; None before the first time."""
    frame = read_frame(con, "select_watermark", source=source)
    return None if frame.is_empty() else frame.item()


def write_watermark(con: duckdb.DuckDBPyConnection, source: str, received_until: datetime) -> None:
    """Record that everything `source` received up to `received_until` has been taken in."""
    with transaction(con):
        con.execute(statement("delete_watermark"), {"source": source})
        con.execute(statement("insert_watermark"), {"source": source, "received_until": received_until})


def read_seen(con: duckdb.DuckDBPyConnection, source: str) -> Collection[str]:
    """Fingerprints of the pieces of `source` that were ingested complete."""
    return set(read_frame(con, "select_seen", source=source)["fingerprint"])


def read_batch_ids(con: duckdb.DuckDBPyConnection, source: str) -> Collection[str]:
    """The ids of all batches of `source` that were ingested; not of those that were refused whole."""
    return set(read_frame(con, "select_batch_ids", source=source)["batch_id"])


def upsert_stations(con: duckdb.DuckDBPyConnection, listed: pl.DataFrame, unlisted: pl.DataFrame) -> None:
    """Write the stations a source lists, replacing their former rows, and those it only mentions, where they are new.

    Call inside a transaction.
    """
    with frames(con, listed=listed, unlisted=unlisted):
        con.execute(statement("delete_stations"))
        insert(con, "stations", listed)
        con.execute(statement("insert_unlisted_stations"))


def append_batches(
    con: duckdb.DuckDBPyConnection, batches: Sequence[Batch], readings: pl.DataFrame | None, rejected: pl.DataFrame
) -> None:
    """Store the readings and refusals of batches, and their accounts. Call inside a transaction, together with mark_stale.

    What stood of earlier refusals of the same deliveries goes: a file that is refused at every run has one account, the newest.
    readings: None where the batches hold something else, which the caller stores.
    """
    _forget_refused(con, batches)
    if readings is not None:
        insert(con, "readings", readings)
    insert(con, "rejected_readings", rejected)
    for batch in batches:
        con.execute(statement("insert_batch"), asdict(batch))


def _forget_refused(con: duckdb.DuckDBPyConnection, batches: Sequence[Batch]) -> None:
    refused = read_frame(con, "select_rejected_batches")
    if refused.is_empty() or not batches:
        return
    again = pl.DataFrame(
        [(batch.batch_id, batch.source, batch.origin, batch.reason, batch.ingested_at) for batch in batches],
        schema={"batch_id": pl.String, "source": pl.String, "origin": pl.String, "reason": pl.String, "now": UTC_TIME},
        orient="row",
    )
    same = refused.join(again, on="batch_id", how="semi")["batch_id"]
    earlier = refused.join(again.drop_nulls("reason").unique(["source", "origin"]), on=["source", "origin"])
    gone = [*same, *earlier.filter(pl.col("ingested_at") < pl.col("now"))["batch_id"]]
    for name in ("delete_rejected_readings", "delete_batches"):
        con.execute(statement(name), {"batch_ids": gone})
