"""What sources delivered: `readings`, `counters`, `rejected_readings`, `batches`, `stations`, `watermarks` and `tolerances`.

And which source delivered which station (`station_sources`), and what is out of serving because of that (`retired_sources`,
`retired_stations`). Times are UTC. `append_batches` and `upsert_stations` belong into one transaction with `mark_stale`
(observations).
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import duckdb
import polars as pl

from daycast.times import UTC_TIME
from daycast.warehouse.statements import statement
from daycast.warehouse.warehouse import frames, insert, read_frame, transaction


@dataclass(frozen=True)
class BatchRecord:
    """A row of `batches`: what became of one batch of a source.

    rows_delivered = rows_kept + rows_refused. Of the kept rows, rows_repeated brought nothing new, and rows_revised changed an
    instant that was known already. reason: why the whole batch was rejected; None if it was loaded. mapping: how it was read, see
    `mapping_id`; None if the source does not say. receipt: whether the times of receipt are stated or assumed. header:
    the names in the header of its file, as JSON, if columns are read by their position.
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
    mapping: str | None = None
    receipt: str | None = None
    header: str | None = None


def read_watermark(con: duckdb.DuckDBPyConnection, source: str) -> datetime | None:
    """The time up to which everything that `source` received has been loaded; None before the first load."""
    frame = read_frame(con, "select_watermark", source=source)
    return None if frame.is_empty() else frame.item()


def write_watermark(con: duckdb.DuckDBPyConnection, source: str, received_until: datetime) -> None:
    """Record that everything `source` received up to `received_until` has been loaded."""
    with transaction(con):
        con.execute(statement("delete_watermark"), {"source": source})
        con.execute(statement("insert_watermark"), {"source": source, "received_until": received_until})


def read_tolerance(con: duckdb.DuckDBPyConnection, source: str) -> timedelta:
    """How long after a full hour readings of `source` may be stamped and still count for it, as the observations were made."""
    frame = read_frame(con, "select_tolerance", source=source)
    return timedelta(0) if frame.is_empty() else timedelta(seconds=frame.item())


def write_tolerance(con: duckdb.DuckDBPyConnection, source: str, tolerance: timedelta) -> None:
    """Record the tolerance of `source`. Call inside a transaction, together with mark_stale."""
    con.execute(statement("delete_tolerance"), {"source": source})
    if tolerance:
        con.execute(statement("insert_tolerance"), {"source": source, "tolerance_s": tolerance.total_seconds()})


def read_just_past_the_hour(con: duckdb.DuckDBPyConnection, source: str, within: timedelta) -> pl.DataFrame:
    """station_id, observed_at and received_at of the readings of `source` stamped up to `within` after a full hour."""
    return read_frame(con, "select_just_past_the_hour", source=source, within_s=within.total_seconds())


def read_batch_tolerances(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """batch_id, tolerance_s: the batches of the sources that have one."""
    return read_frame(con, "select_batch_tolerances")


def read_fingerprints(con: duckdb.DuckDBPyConnection, source: str) -> Collection[str]:
    """The fingerprints of the batches of `source` that were loaded completely, and are the newest of their origin."""
    return set(read_frame(con, "select_seen", source=source)["fingerprint"])


def read_batches(con: duckdb.DuckDBPyConnection, source: str) -> pl.DataFrame:
    """batch_id, origin, fingerprint, rows_revised, ingested_at, is_newest of all batches of `source` that were loaded.

    Rejected ones are not among them. is_newest: False once a later batch brought another content of the same origin; such a
    batch no longer counts as held.
    """
    return read_frame(con, "select_batches", source=source)


def read_header(con: duckdb.DuckDBPyConnection, source: str, mapping: str | None) -> tuple[str, str] | None:
    """Of the first file of `source` that was read by this mapping: its header, as in BatchRecord, and its origin.

    None if there is none, or if no column is read by its position.
    """
    frame = read_frame(con, "select_header", source=source, mapping=mapping)
    return None if frame.is_empty() else frame.row(0)


def supersede_batches(con: duckdb.DuckDBPyConnection, batch_ids: Collection[str], now: datetime) -> None:
    """Record that these batches are not the newest of their origin any more. Call inside a transaction."""
    if batch_ids:
        con.execute(statement("update_superseded_batches"), {"batch_ids": list(batch_ids), "now": now})


def read_origins(con: duckdb.DuckDBPyConnection, source: str) -> Collection[str]:
    """The origins of all batches of `source` that were loaded, as they are told to people."""
    return set(read_frame(con, "select_origins", source=source)["origin"])


def upsert_stations(con: duckdb.DuckDBPyConnection, listed: pl.DataFrame, unlisted: pl.DataFrame) -> None:
    """Write stations: replace the rows of those that a source lists, and add those it only mentions if they are new.

    Both frames have the columns of `stations`. Call inside a transaction.
    """
    with frames(con, listed=listed, unlisted=unlisted):
        con.execute(statement("delete_stations"))
        insert(con, "stations", listed)
        con.execute(statement("insert_unlisted_stations"))


def add_station_sources(con: duckdb.DuckDBPyConnection, source: str, delivered: pl.DataFrame) -> None:
    """Record that `source` delivers these stations (column station_id, each once). Call inside a transaction."""
    with frames(con, delivered=delivered):
        con.execute(statement("insert_station_sources"), {"source": source})


def read_station_sources(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """source, station_id: which source delivered readings of which station."""
    return read_frame(con, "select_sources_of_stations")


def read_out_of_serving(con: duckdb.DuckDBPyConnection, sources: Collection[str]) -> pl.DataFrame:
    """station_id, source of each station that none of `sources`, unless it was retired by hand, ever delivered.

    sources: names of those that are configured. Stations of unknown origin are not among them. A row for each station and source.
    """
    return read_frame(con, "select_out_of_serving", sources=list(sources))


def update_retired_stations(con: duckdb.DuckDBPyConnection, sources: Collection[str], now: datetime) -> None:
    """Bring `retired_stations`, which the views read, in line with the configured sources; what is in it stays as it is."""
    held, retired = read_frame(con, "select_retired_stations"), read_out_of_serving(con, sources)
    if held.select(retired.columns).equals(retired):
        return
    rows = retired.join(held, on=retired.columns, how="left", maintain_order="left")
    with transaction(con):
        con.execute(statement("delete_retired_stations"))
        insert(con, "retired_stations", rows.with_columns(pl.col("retired_at").fill_null(now)))


def read_retired_sources(con: duckdb.DuckDBPyConnection) -> dict[str, datetime]:
    """The sources that were retired by hand, and when."""
    return dict(read_frame(con, "select_retired_sources").iter_rows())


def retire_source(con: duckdb.DuckDBPyConnection, source: str, now: datetime) -> None:
    """Retire a source by hand; one that is retired already keeps its time."""
    if source not in read_retired_sources(con):
        con.execute(statement("insert_retired_source"), {"source": source, "retired_at": now})


def restore_source(con: duckdb.DuckDBPyConnection, source: str) -> None:
    """Take back that a source was retired by hand."""
    con.execute(statement("delete_retired_source"), {"source": source})


@dataclass(frozen=True)
class CounterKey:
    """Which numbers in `counters` belong together."""

    source: str
    counter: str
    variable: str


def read_counter(con: duckdb.DuckDBPyConnection, key: CounterKey, ranges: pl.DataFrame) -> pl.DataFrame:
    """station_id, observed_at, received_at, number in the time [since, until] of each station in `ranges`, in no order."""
    with frames(con, ranges=ranges):
        return read_frame(con, "select_counters", **asdict(key))


def write_counter(con: duckdb.DuckDBPyConnection, key: CounterKey, numbers: pl.DataFrame) -> None:
    """Write numbers (columns as `read_counter` returns them), in place of those of the same instants. In a transaction."""
    with frames(con, numbers=numbers):
        con.execute(statement("delete_counters"), asdict(key))
        con.execute(statement("insert_counters"), asdict(key))


def append_batches(
    con: duckdb.DuckDBPyConnection,
    records: Sequence[BatchRecord],
    readings: pl.DataFrame | None,
    rejected: pl.DataFrame,
) -> None:
    """Append batches: their records, readings and rejected rows. Call inside a transaction, together with mark_stale.

    readings: rows of `readings`; None if the batches hold external forecasts, which the caller stores. rejected: rows of
    `rejected_readings`. Earlier rejections of the same batches are deleted, so a file rejected at every run has one record.
    """
    _delete_rejected_before(con, records)
    if readings is not None:
        insert(con, "readings", readings)
    insert(con, "rejected_readings", rejected)
    for record in records:
        con.execute(statement("insert_batch"), asdict(record))


def _delete_rejected_before(con: duckdb.DuckDBPyConnection, records: Sequence[BatchRecord]) -> None:
    """Delete earlier rejections: of these very batches, and of the same origin where it is rejected again."""
    rejected = read_frame(con, "select_rejected_batches")
    if rejected.is_empty() or not records:
        return
    arriving = pl.DataFrame(
        [(record.batch_id, record.source, record.origin, record.reason, record.ingested_at) for record in records],
        schema={"batch_id": pl.String, "source": pl.String, "origin": pl.String, "reason": pl.String, "now": UTC_TIME},
        orient="row",
    )
    same = rejected.join(arriving, on="batch_id", how="semi")["batch_id"]
    earlier = rejected.join(arriving.drop_nulls("reason").unique(["source", "origin"]), on=["source", "origin"])
    superseded = [*same, *earlier.filter(pl.col("ingested_at") < pl.col("now"))["batch_id"]]
    for name in ("delete_rejected_readings", "delete_batches"):
        con.execute(statement(name), {"batch_ids": superseded})
