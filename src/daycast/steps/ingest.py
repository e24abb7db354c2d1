"""Take in what a source has: fetch, check, account for every row, store, and bring the observations up to date."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl

from daycast.errors import ConfigError, ContractError
from daycast.prepare.hourly_versions import full_hour_after, make_hourly_versions
from daycast.prepare.news import keep_news
from daycast.quality.contracts import (
    check_contracts_are_on,
    find_refusals,
    observations_contract,
    readings_contract,
    validate_frame,
)
from daycast.quality.flags import add_flags
from daycast.settings import Settings
from daycast.sources.delivery import Delivery, Source
from daycast.stations import unplaced_stations
from daycast.variables import Variable
from daycast.warehouse.connect import open_warehouse, transaction
from daycast.warehouse.ingestion import (
    Batch,
    append_batch,
    has_batch,
    read_readings_at,
    read_readings_of_hours,
    read_seen,
    read_watermark,
    replace_versions,
    upsert_stations,
    write_watermark,
)

FEW_ROWS = 20  # in a batch this small, a share of bad rows says nothing: bad rows are refused one by one


@dataclass(frozen=True)
class Intake:
    """What one source brought."""

    source: str
    delivered: int
    kept: int
    repeated: int
    refused: int

    def __str__(self) -> str:
        return (
            f"{self.source}: {self.delivered:,} rows delivered, {self.kept:,} kept ({self.repeated:,} of them known before), "
            f"{self.refused:,} refused"
        )


def choose_sources(settings: Settings, name: str | None) -> Sequence[Source]:
    """Every configured source, or the one of this name. Raises ConfigError where there is none."""
    if name is None:
        return settings.sources
    chosen = [source for source in settings.sources if source.name == name]
    if not chosen:
        names = ", ".join(source.name for source in settings.sources)
        raise ConfigError(f"there is no source {name!r}; configured are: {names}")
    return chosen


def ingest_source(settings: Settings, source: Source, now: datetime, since: datetime | None = None) -> Intake:
    """Take in everything `source` received up to `now`: from `since`, else from where the last ingest ended.

    Each delivery is one transaction, so that a run killed anywhere continues where it stopped. Raises SourceError, and
    ContractError where too large a share of a delivery is bad, both after every delivery that can be taken in was.
    """
    check_contracts_are_on()
    variables = settings.glossary
    with open_warehouse(settings.warehouse, variables.values(), now) as con:
        start = since or read_watermark(con, source.name)
        seen = read_seen(con, source.name)
    batches, stated, errors = [], False, []
    for delivery in source.fetch(start, now, variables, seen):
        stated = delivery.receipt == "stated"  # else a late row is never behind the watermark
        with open_warehouse(settings.warehouse, variables.values(), now) as con:
            try:
                batches.append(ingest_delivery(con, source, delivery, variables, now, settings.ingest.refuse_above))
            except ContractError as error:
                errors.append(error)  # the other deliveries are taken in all the same
    if errors:
        raise errors[0]
    with open_warehouse(settings.warehouse, variables.values(), now) as con:
        if stated and since is None and (start is None or now > start):
            write_watermark(con, source.name, now)
    taken = [batch for batch in batches if batch]
    return Intake(
        source=source.name,
        delivered=sum(batch.rows_delivered for batch in taken),
        kept=sum(batch.rows_kept for batch in taken),
        repeated=sum(batch.rows_repeated for batch in taken),
        refused=sum(batch.rows_refused for batch in taken),
    )


def ingest_delivery(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    delivery: Delivery,
    variables: Mapping[str, Variable],
    now: datetime,
    refuse_above: float,
) -> Batch | None:
    """Store one delivery whole or not at all; None where this very delivery was stored before."""
    batch_id = _batch_id(source.name, delivery, now)
    if has_batch(con, batch_id):
        return None
    readings = _with_every_variable(delivery.readings, variables)
    problems = _find_problems(readings, delivery, variables)
    refused = problems["row_number"].unique()
    _refuse_whole(delivery, problems, len(refused), refuse_above)
    kept = readings.with_row_index("row_number").filter(~pl.col("row_number").is_in(refused.implode()))
    held = read_readings_at(con, kept.select("station_id", "observed_at").unique(), list(variables))
    news = keep_news(kept, held, list(variables), now if delivery.receipt == "assumed" else None)
    batch = Batch(
        batch_id=batch_id,
        source=source.name,
        origin=delivery.origin,
        fingerprint=delivery.fingerprint,
        complete=delivery.complete,
        received_until=now,
        rows_delivered=len(readings),
        rows_kept=len(kept),
        rows_repeated=len(kept) - len(news),
        rows_refused=len(refused),
        ingested_at=now,
    )
    with transaction(con):
        upsert_stations(con, source.stations(), unplaced_stations(kept["station_id"]))
        append_batch(con, batch, news.with_columns(batch_id=pl.lit(batch_id)), _as_they_came(delivery, problems, batch))
        _update_observations(con, news, variables)
    return batch


def _batch_id(source: str, delivery: Delivery, now: datetime) -> str:
    held_back = "" if delivery.complete else now.isoformat()
    text = f"{source}\n{delivery.origin}\n{delivery.fingerprint}\n{held_back}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _with_every_variable(readings: pl.DataFrame, variables: Mapping[str, Variable]) -> pl.DataFrame:
    absent = [pl.lit(None, pl.Float64).alias(name) for name in variables if name not in readings.columns]
    return readings.with_columns(absent).select("station_id", "observed_at", "received_at", *variables)


def _find_problems(readings: pl.DataFrame, delivery: Delivery, variables: Mapping[str, Variable]) -> pl.DataFrame:
    """Everything wrong with the delivery: what the source could not read, then what breaks the contract in the rest."""
    found = find_refusals(readings, readings_contract(variables.values()))
    unread = delivery.problems["row_number"].unique()
    return pl.concat([delivery.problems, found.filter(~pl.col("row_number").is_in(unread.implode()))])


def _refuse_whole(delivery: Delivery, problems: pl.DataFrame, refused: int, refuse_above: float) -> None:
    delivered = len(delivery.readings)
    if refused <= refuse_above * delivered or (delivered < FEW_ROWS and refused < delivered) or delivered == 1:
        return
    common = (
        problems.group_by("column", "reason")
        .agg(pl.len(), pl.col("value").first())
        .sort("len", "column", descending=True)
    )
    reasons = "; ".join(
        f"{row['column']} {row['reason']} ({row['len']}×, for example {row['value']!r})"
        for row in common.head(3).to_dicts()
    )
    raise ContractError(
        f"{delivery.origin}: {refused} of {delivered} rows are bad, more than ingest.refuse_above = {refuse_above:g} allows, "
        f"so nothing of it was ingested: {reasons}. Correct the units, missing markers or columns of this source"
    )


def _as_they_came(delivery: Delivery, problems: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    """Refusals as rows of rejected_readings, each with its row of the delivery as JSON."""
    raw = delivery.raw.with_row_index("row_number").filter(pl.col("row_number").is_in(problems["row_number"].implode()))
    as_json = raw.select("row_number", pl.struct(pl.exclude("row_number")).struct.json_encode().alias("reading"))
    return problems.join(as_json, on="row_number", how="left").select(
        pl.lit(batch.batch_id).alias("batch_id"),
        "row_number",
        pl.col("column").alias("column_name"),
        "value",
        "reason",
        "reading",
        pl.lit(batch.ingested_at).alias("rejected_at"),
    )


def _update_observations(con: duckdb.DuckDBPyConnection, news: pl.DataFrame, variables: Mapping[str, Variable]) -> None:
    """Make the versions of every hour that the news touch again, from all readings of those hours."""
    hours = news.select("station_id", full_hour_after(pl.col("observed_at")).alias("hour")).unique()
    readings = read_readings_of_hours(con, hours, list(variables))
    versions = add_flags(make_hourly_versions(readings, variables.values()), list(variables))
    replace_versions(con, validate_frame(versions, observations_contract(variables.values()), "observations"))
