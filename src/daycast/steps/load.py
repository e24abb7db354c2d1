"""Store deliveries, whole or not at all: check every row, account for it, and note which observations it makes stale."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import polars as pl

from daycast.errors import ContractError
from daycast.features.deduplicate import KEY, deduplicate
from daycast.features.hourly import full_hour_after
from daycast.quality.flags import LOOK_BACK_HOURS
from daycast.sources.batch import SourceBatch
from daycast.stations import unplaced_stations
from daycast.steps.rejections import BatchRejection, as_they_came, find_problems, reject_batch
from daycast.times import DAY, HOUR, UTC_TIME
from daycast.variables import Variable
from daycast.warehouse.forecasts import append_external_forecasts, read_issues_of
from daycast.warehouse.observations import mark_stale, read_readings_of
from daycast.warehouse.readings import BatchRecord, append_batches, read_batch_ids, upsert_stations
from daycast.warehouse.warehouse import transaction

LONGEST_SILENCE = (
    31 * DAY
)  # how long after the newest observation the clock is believed: later than that it may be wrong


@dataclass(frozen=True)
class LoadConfig:
    """How deliveries of one source are to be taken in."""

    source: str
    listed: pl.DataFrame  # the stations the source lists
    variables: Mapping[str, Variable]
    now: datetime  # the real clock
    until: datetime  # up to which receipt the source was asked
    earliest: datetime  # rows observed before are refused: a clock that was never set
    newest: datetime | None  # the latest time that any source spoke of before
    refuse_above: float  # share of bad rows above which a delivery is refused whole
    resumed_from: datetime | None  # what would have been known by then was asked for then


def load_batches(
    con: duckdb.DuckDBPyConnection, deliveries: Sequence[SourceBatch], config: LoadConfig
) -> tuple[list[BatchRecord], dict[str, ContractError]]:
    """Store deliveries of one source in one transaction; returns their accounts, and by fingerprint why some were refused whole.

    Of those the account says so and why, and the first bad rows are among the rejected readings.
    A delivery that was stored before is left out. Where two of them speak of the same stretch of a station's time they are
    stored one after the other, because what is news in the second depends on the first.
    Readings and others' forecasts are stored apart.
    """
    held = read_batch_ids(con, config.source)
    named = {_batch_id(config, delivery): delivery for delivery in deliveries}
    new = {batch_id: delivery for batch_id, delivery in named.items() if batch_id not in held}
    if not new:
        return [], {}
    readings = {batch_id: delivery for batch_id, delivery in new.items() if not delivery.is_forecast}
    issues = {batch_id: delivery for batch_id, delivery in new.items() if delivery.is_forecast}
    together = [part for kind in (readings, issues) for part in _apart(kind)]
    batches: list[BatchRecord] = []
    errors: dict[str, ContractError] = {}
    with transaction(con):
        for part in together:
            stored, refused = _store(con, part, config)
            batches += stored
            errors |= {new[batch_id].fingerprint: error for batch_id, error in refused.items()}
    return batches, errors


def _batch_id(config: LoadConfig, delivery: SourceBatch) -> str:
    held_back = "" if delivery.complete else config.until.isoformat()
    text = f"{config.source}\n{delivery.origin}\n{delivery.fingerprint}\n{held_back}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _apart(deliveries: Mapping[str, SourceBatch]) -> list[Mapping[str, SourceBatch]]:
    """The deliveries in the parts that can be stored at once."""
    if _overlap(list(deliveries.values())):
        return [{batch_id: delivery} for batch_id, delivery in deliveries.items()]
    return [deliveries] if deliveries else []


def _key(rows: pl.DataFrame) -> list[str]:
    """What tells rows apart, the instant last."""
    return ["station_id", "issued_at", "valid_at"] if "issued_at" in rows.columns else KEY


def _overlap(deliveries: Sequence[SourceBatch]) -> bool:
    """Whether two deliveries may speak of the same instants of a station."""
    if len(deliveries) <= 1:
        return False
    observed = pl.col(_key(deliveries[0].readings)[1])
    spans = pl.concat(
        delivery.readings.group_by("station_id").agg(observed.min().alias("first"), observed.max().alias("last"))
        for delivery in deliveries
    ).sort("station_id", "first")
    return bool(spans.select((pl.col("first") <= pl.col("last").shift().over("station_id")).any()).item())


def _store(
    con: duckdb.DuckDBPyConnection, deliveries: Mapping[str, SourceBatch], config: LoadConfig
) -> tuple[list[BatchRecord], dict[str, ContractError]]:
    rows = _rows(deliveries, config.variables)
    problems = find_problems(rows, deliveries, config.variables, config.earliest)
    refused_whole = reject_batch(rows, problems, deliveries, config.variables, config.refuse_above)
    if refused_whole:
        rows, problems = (frame.filter(~pl.col("batch_id").is_in(list(refused_whole))) for frame in (rows, problems))
    kept = rows
    if not problems.is_empty():
        kept = rows.join(problems.select("row").unique(), on="row", how="anti", maintain_order="left")
    names, key = list(config.variables), _key(rows)
    held = _held(con, kept).select(*key, "received_at", "row_number", *names)
    receipts = {delivery.receipt for delivery in deliveries.values()}
    clock = _receipt_of_corrections(kept[key[1]], held, config) if receipts == {"assumed"} else None
    numbered = kept.select(*key, "received_at", pl.col("row").alias("row_number"), *names)
    new_readings = deduplicate(numbered, held, names, clock, config.resumed_from, key)
    new_readings = new_readings.rename({"row_number": "row"})
    if len(new_readings) == len(kept):
        new_readings = new_readings.with_columns(kept["batch_id"], kept["row_number"])  # both in the order of row
    else:
        new_readings = new_readings.join(kept.select("row", "batch_id", "row_number"), on="row", maintain_order="left")
    accepted = {name: delivery for name, delivery in deliveries.items() if name not in refused_whole}
    batches = _accounts(accepted, kept, new_readings, new_readings.join(held, on=key, how="semi"), problems, config)
    batches += [_account_of_rejected(config, name, deliveries[name], one) for name, one in refused_whole.items()]
    errors = {name: one.error for name, one in refused_whole.items()}
    refused = as_they_came(
        pl.concat([problems, *(one.problems for one in refused_whole.values())]), deliveries, config.now
    )
    if "issued_at" in rows.columns:
        append_batches(con, batches, None, refused)
        append_external_forecasts(con, new_readings.drop("row"))
        return batches, errors
    upsert_stations(con, config.listed, unplaced_stations(kept["station_id"]))
    append_batches(con, batches, new_readings.drop("row"), refused)
    mark_stale(con, *stale_ranges(new_readings))
    return batches, errors


def _receipt_of_corrections(observed: pl.Series, held: pl.DataFrame, config: LoadConfig) -> datetime:
    """Now, though not long after the newest observation, because the clock may be wrong; and after what is corrected.

    observed: the times that the rows speak of.
    """
    newest: datetime | None = pl.concat([observed, pl.Series([config.newest], dtype=UTC_TIME)]).max()  # type: ignore[assignment]
    receipt = min(config.now, newest + LONGEST_SILENCE) if newest else config.now
    before: datetime | None = held["received_at"].max()  # type: ignore[assignment]
    if before is None or before > config.now + HOUR:
        return receipt
    return max(receipt, before + timedelta(microseconds=1))


def _rows(deliveries: Mapping[str, SourceBatch], variables: Mapping[str, Variable]) -> pl.DataFrame:
    """Every delivered row: row (over all deliveries), batch_id, row_number (in its own), the keys and every variable."""
    frames = []
    for batch_id, delivery in deliveries.items():
        absent = [pl.lit(None, pl.Float64).alias(name) for name in variables if name not in delivery.readings.columns]
        key = _key(delivery.readings)
        readings = delivery.readings.with_columns(absent).select(*key, "received_at", *variables)
        frames.append(readings.with_row_index("row_number").with_columns(pl.lit(batch_id).alias("batch_id")))
    return pl.concat(frames).with_row_index("row")


def _held(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> pl.DataFrame:
    """The stored readings of the stretches of time that `rows` speak of, or the stored rows of the issues."""
    if rows.is_empty():
        return rows
    instant = pl.col(_key(rows)[1])
    ranges = rows.group_by("station_id").agg(instant.min().alias("since"), instant.max().alias("until"))
    return read_issues_of(con, ranges) if "issued_at" in rows.columns else read_readings_of(con, ranges)


def _accounts(
    deliveries: Mapping[str, SourceBatch],
    kept: pl.DataFrame,
    new_readings: pl.DataFrame,
    revised: pl.DataFrame,
    problems: pl.DataFrame,
    config: LoadConfig,
) -> list[BatchRecord]:
    counts = {
        name: dict(frame.group_by("batch_id").len().iter_rows())
        for name, frame in {
            "kept": kept,
            "news": new_readings,
            "revised": revised,
            "refused": problems.select("batch_id", "row").unique(),
        }.items()
    }
    return [
        BatchRecord(
            batch_id=batch_id,
            source=config.source,
            origin=delivery.origin,
            fingerprint=delivery.fingerprint,
            complete=delivery.complete,
            received_until=config.until,
            rows_delivered=len(delivery.readings),
            rows_kept=counts["kept"].get(batch_id, 0),
            rows_repeated=counts["kept"].get(batch_id, 0) - counts["news"].get(batch_id, 0),
            rows_revised=counts["revised"].get(batch_id, 0),
            rows_refused=counts["refused"].get(batch_id, 0),
            ingested_at=config.now,
        )
        for batch_id, delivery in deliveries.items()
    ]


def _account_of_rejected(
    config: LoadConfig, batch_id: str, delivery: SourceBatch, refusal: BatchRejection
) -> BatchRecord:
    """It is not complete, so that it is read again when it comes again."""
    return BatchRecord(
        batch_id=batch_id,
        source=config.source,
        origin=delivery.origin,
        fingerprint=delivery.fingerprint,
        complete=False,
        received_until=config.until,
        rows_delivered=len(delivery.readings),
        rows_kept=0,
        rows_repeated=0,
        rows_revised=0,
        rows_refused=len(delivery.readings),
        ingested_at=config.now,
        reason=str(refusal.error),
    )


def stale_ranges(new_readings: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The hours that the news touch, a range for each station and month; and from when on later hours draw on those months."""
    hour = full_hour_after(pl.col("observed_at"))
    ranges = (
        new_readings.group_by("station_id", hour.dt.truncate("1mo").alias("month"))
        .agg(hour.min().alias("since"), hour.max().alias("until"), pl.col("received_at").min().alias("known"))
        .drop("month")
    )
    known_in = pl.max_horizontal("known", "since").dt.truncate("1mo")
    reaches = ranges.filter(known_in <= pl.col("until") + pl.duration(hours=LOOK_BACK_HOURS))
    later = reaches.group_by("station_id").agg(known_in.min().dt.offset_by("1mo").alias("boundary"))
    return ranges.select("station_id", "since", "until"), later
