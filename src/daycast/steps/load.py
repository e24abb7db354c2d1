"""Load batches of a source into the warehouse: validate every row, keep what is new, and record what becomes stale.

`load_batches` is the entry; `_store` is the step itself, top to bottom: read what is held, deduplicate, write. A row that breaks
its contract is rejected by itself; a batch with too many bad rows is rejected as a whole (`rejections`).
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import duckdb
import polars as pl

from daycast.errors import ContractError
from daycast.features.amounts import accumulate
from daycast.features.deduplicate import KEY, deduplicate
from daycast.features.doubled_hour import settle_doubled_hours
from daycast.features.hourly import full_hour_after
from daycast.quality.flags import LOOK_BACK_HOURS
from daycast.sources.batch import SourceBatch
from daycast.sources.tables.wall_clock import TOLD_TWICE
from daycast.stations import unplaced_stations
from daycast.steps.edited_files import DroppedValues, unit_of, with_content
from daycast.steps.observe import LONGEST_SILENCE
from daycast.steps.rejections import BatchRejection, find_problems, make_rejected_rows, make_unread_rows, reject_batch
from daycast.times import DAY, HOUR, UTC_TIME
from daycast.variables import Variable
from daycast.warehouse.forecasts import append_external_forecasts, read_issues_of
from daycast.warehouse.observations import mark_stale, read_readings_of
from daycast.warehouse.readings import (
    BatchRecord,
    CounterKey,
    add_station_sources,
    append_batches,
    read_batches,
    read_counter,
    read_just_past_the_hour,
    read_tolerance,
    supersede_batches,
    upsert_stations,
    write_counter,
    write_tolerance,
)
from daycast.warehouse.warehouse import transaction


@dataclass(frozen=True)
class CheckedRows:
    """The rows of some batches after they were checked, before anything is written.

    rows: as `stack_rows` gives them, with amounts; problems: as `find_problems` does. batches: by batch_id. rejected: the ids of
    those of which nothing is stored.
    """

    rows: pl.DataFrame
    problems: pl.DataFrame
    batches: Mapping[str, SourceBatch]
    rejected: Collection[str]


@dataclass(frozen=True)
class LoadConfig:
    """How batches of one source are loaded. Times are UTC."""

    source: str  # its name
    listed: pl.DataFrame  # the stations that the source lists
    variables: Mapping[str, Variable]
    now: datetime  # the real clock
    until: datetime  # the source was asked for everything received up to here
    earliest: datetime  # rows observed before this are rejected: their clock was never set
    newest: datetime | None  # the newest observed_at or issued_at stored before this run
    refuse_above: float  # share of bad rows above which a whole batch is rejected
    resumed_from: datetime | None  # everything received up to here was already asked for in an earlier run
    mapping: str | None = None  # how the source is read; None if it does not say
    reread_at: datetime | None = None  # when the source began to be read again; None for ordinary batches
    watch: Callable[[CheckedRows], None] | None = None  # is shown all rows
    dropped: DroppedValues | None = None  # gathers what files no longer have


def load_batches(
    con: duckdb.DuckDBPyConnection, batches: Sequence[SourceBatch], config: LoadConfig
) -> tuple[list[BatchRecord], dict[str, ContractError]]:
    """Store batches of one source in one transaction. Returns their records, and the errors of rejected batches by fingerprint.

    The record of a rejected batch holds the reason, and its first bad rows are stored as rejected readings. Batches that were
    stored before are skipped, except where another content of their origin came in between: then the source went back, and they
    are its newest state. Readings and external forecasts are stored separately. If two batches overlap in time at a
    station, all are stored one after the other, because what is new in one depends on those before it.
    """
    held = read_batches(con, config.source)
    is_newest = dict(held.select("batch_id", "is_newest").iter_rows())
    by_id = {_unused_id(_batch_id(config, batch), is_newest): batch for batch in batches}
    new = {batch_id: batch for batch_id, batch in by_id.items() if batch_id not in is_newest}
    if not new:
        return [], {}
    readings = {batch_id: batch for batch_id, batch in new.items() if not batch.is_forecast}
    forecasts = {batch_id: batch for batch_id, batch in new.items() if batch.is_forecast}
    groups = [group for kind in (readings, forecasts) for group in _split_where_overlapping(kind)]
    records: list[BatchRecord] = []
    errors: dict[str, ContractError] = {}
    with transaction(con):
        for group in groups:
            stored, rejected = _store(con, group, config, held)
            records += stored
            errors |= {new[batch_id].fingerprint: error for batch_id, error in rejected.items()}
        loaded = [one for one in records if one.reason is None and new[one.batch_id].supersedes]
        supersede_batches(con, find_superseded(held, loaded), config.now)
    return records, errors


def _batch_id(config: LoadConfig, batch: SourceBatch) -> str:
    """A hash of the batch's source, origin and content; an incomplete batch has another id at the next run."""
    held_back = "" if batch.complete else config.until.isoformat()
    again = [config.reread_at.isoformat()] if config.reread_at else []
    return _id_of(config.source, batch.origin, batch.fingerprint, held_back, *again)


def _unused_id(batch_id: str, is_newest: Mapping[str, bool]) -> str:
    """The id itself unless a batch that is not the newest of its origin has it; then another one that follows from it."""
    while not is_newest.get(batch_id, True):
        batch_id = _id_of(batch_id)
    return batch_id


def find_superseded(held: pl.DataFrame, loaded: Sequence[BatchRecord]) -> list[str]:
    """The ids of the held batches that are not the newest of their origin any more, now that others were loaded.

    held: as `read_batches` gives it. The parts of one content do not supersede each other, however it was divided.
    """
    schema = dict.fromkeys(("batch_id", "origin", "fingerprint"), pl.String)
    rows = [(one.batch_id, one.origin, one.fingerprint) for one in loaded]
    newest = with_content(pl.DataFrame(rows, schema, orient="row"))
    older = with_content(held.filter("is_newest")).join(newest, on="batch_id", how="anti")
    pairs = older.join(newest, on="unit", suffix="_new").filter(pl.col("content") != pl.col("content_new"))
    same = (pl.col("origin") == pl.col("origin_new")) | pl.col("is_part") | pl.col("is_part_new")
    return pairs.filter(same)["batch_id"].unique().to_list()


def find_superseded_units(held: pl.DataFrame, loaded: Sequence[BatchRecord], *, whole: bool) -> list[str]:
    """The ids of the held batches that do not count any more after their source, or some files of it, was read again as a whole.

    held: as `read_batches` gives it, with those loaded. whole: the source; else only the files that were loaded.
    """
    ids, origins = [one.batch_id for one in loaded], [one.origin for one in loaded if one.reason is None]
    older = held.filter("is_newest").filter(~pl.col("batch_id").is_in(ids))
    if not whole:
        units = pl.DataFrame({"origin": origins}, schema={"origin": pl.String}).select(unit_of(pl.col("origin")))
        older = older.filter(unit_of(pl.col("origin")).is_in(units["origin"].implode()))
    return older["batch_id"].to_list()


def record_refused(con: duckdb.DuckDBPyConnection, refused: Mapping[str, str], config: LoadConfig) -> None:
    """Record deliveries that could not be read: why, by origin. They leave a row in `batches` and in `rejected_readings`."""
    records = [
        BatchRecord(
            batch_id=_id_of(config.source, origin, reason),
            source=config.source,
            origin=origin,
            fingerprint=_id_of(reason),
            complete=False,
            received_until=config.until,
            rows_delivered=0,
            rows_kept=0,
            rows_repeated=0,
            rows_revised=0,
            rows_refused=0,
            ingested_at=config.now,
            reason=reason,
        )
        for origin, reason in refused.items()
    ]
    with transaction(con):
        append_batches(
            con, records, None, make_unread_rows({one.batch_id: str(one.reason) for one in records}, config.now)
        )


def _id_of(*parts: str) -> str:
    """A hash of these texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _split_where_overlapping(batches: Mapping[str, SourceBatch]) -> list[Mapping[str, SourceBatch]]:
    """The batches in groups that can be stored at once: all together, or one by one if any two overlap.

    Batches with rows that may stand for one of two instants come last, one by one: what is known by then may tell which.
    """
    undecided = {batch_id: batch for batch_id, batch in batches.items() if "later_at" in batch.readings.columns}
    if undecided:
        decided = {batch_id: batch for batch_id, batch in batches.items() if batch_id not in undecided}
        return [*_split_where_overlapping(decided), *({batch_id: batch} for batch_id, batch in undecided.items())]
    if _overlap(list(batches.values())):
        return [{batch_id: batch} for batch_id, batch in batches.items()]
    return [batches] if batches else []


def _key(rows: pl.DataFrame) -> list[str]:
    """The columns that identify a row, the instant last."""
    return ["station_id", "issued_at", "valid_at"] if "issued_at" in rows.columns else KEY


def _overlap(batches: Sequence[SourceBatch]) -> bool:
    """Whether two batches overlap in time at a station."""
    if len(batches) <= 1:
        return False
    observed = pl.col(_key(batches[0].readings)[1])
    spans = pl.concat(
        batch.readings.group_by("station_id").agg(observed.min().alias("first"), observed.max().alias("last"))
        for batch in batches
    ).sort("station_id", "first")
    return bool(spans.select((pl.col("first") <= pl.col("last").shift().over("station_id")).any()).item())


def _store(
    con: duckdb.DuckDBPyConnection, batches: Mapping[str, SourceBatch], config: LoadConfig, known: pl.DataFrame
) -> tuple[list[BatchRecord], dict[str, ContractError]]:
    """Store batches that do not overlap. Returns their records, and the errors of rejected batches by batch_id.

    known: the batches that were held before, as `read_batches` gives them.
    """
    rows = delivered = stack_rows(batches, config.variables)
    rows, undecided = settle_rows(rows, batches, config.variables, partial(_read_held, con))
    rows, changed, counters = _make_amounts(con, rows, batches, config.source)
    problems = pl.concat([find_problems(rows, batches, config.variables, config.earliest), *undecided])
    rejections = reject_batch(rows, problems, batches, config.variables, config.refuse_above)
    if config.watch:
        config.watch(CheckedRows(rows, problems, batches, list(rejections)))
    if rejections:
        rows, problems = (frame.filter(~pl.col("batch_id").is_in(list(rejections))) for frame in (rows, problems))
    kept = rows
    refused = problems.filter("costs_row")
    if not refused.is_empty():
        kept = rows.join(refused.select("row").unique(), on="row", how="anti", maintain_order="left")
    kept_rows = kept
    if not changed.is_empty():
        kept = pl.concat([kept, changed.join(kept, on="row", how="semi")]).sort("row", maintain_order=True)
    held, receipts = _read_held(con, kept), {batch.receipt for batch in batches.values()}
    new_readings, revised = _find_new(held, kept, kept_rows, receipts, config)
    accepted = {batch_id: batch for batch_id, batch in batches.items() if batch_id not in rejections}
    _add_dropped(config, accepted, delivered, held, known)
    records = _make_records(accepted, kept_rows, new_readings, revised, refused, config)
    records += [_make_rejected_record(config, batch_id, batches[batch_id], one) for batch_id, one in rejections.items()]
    errors = {batch_id: one.error for batch_id, one in rejections.items()}
    all_problems = pl.concat([problems, *(one.problems for one in rejections.values())])
    rejected = make_rejected_rows(all_problems, batches, config.now)
    if "issued_at" in rows.columns:
        append_batches(con, records, None, rejected)
        append_external_forecasts(con, new_readings.drop("row"))
        return records, errors
    upsert_stations(con, config.listed, unplaced_stations(kept["station_id"]))
    add_station_sources(con, config.source, kept.select("station_id").unique())
    append_batches(con, records, new_readings.drop("row"), rejected)
    for counter, numbers in counters.items():
        write_counter(con, counter, numbers.join(kept_rows, on="row", how="semi").drop("row"))
    mark_stale(con, *stale_ranges(new_readings))
    return records, errors


def _find_new(
    held: pl.DataFrame,
    kept: pl.DataFrame,
    kept_rows: pl.DataFrame,
    receipts: Collection[str],
    config: LoadConfig,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of the rows `kept` those that say something new, and of these the ones that change what is held.

    held: what is stored at the instants of `kept`. kept_rows: the rows as they were delivered; `kept` may have further ones of
    the same `row`, for amounts that changed.
    """
    names, key = list(config.variables), _key(kept)
    held = held.select(*key, "received_at", "row_number", *names)
    clock = _receipt_of_corrections(kept[key[1]], held, config) if set(receipts) == {"assumed"} else None
    numbered = kept.select(*key, "received_at", pl.col("row").alias("row_number"), *names)
    new = deduplicate(numbered, held, names, clock, config.resumed_from, key).rename({"row_number": "row"})
    if new["row"].equals(kept["row"]):
        new = new.with_columns(kept["batch_id"], kept["row_number"])  # both are sorted by row
    else:
        new = new.join(kept_rows.select("row", "batch_id", "row_number"), on="row", maintain_order="left")
    revised = new.join(held, on=key, how="semi")
    if clock is not None:
        revised = revised.filter(pl.col("received_at") >= clock)  # a value where there was none revises nothing
    return new, revised


def _add_dropped(
    config: LoadConfig,
    batches: Mapping[str, SourceBatch],
    delivered: pl.DataFrame,
    held: pl.DataFrame,
    known: pl.DataFrame,
) -> None:
    """Look for values that files no longer have, of which another content is among the `known` batches.

    delivered: the rows of all batches as `stack_rows` gives them. Those that may stand for one of two instants have both.
    """
    files = {batch_id: batch for batch_id, batch in batches.items() if batch.file and not batch.is_forecast}
    if config.dropped is None or known.is_empty() or not files:
        return
    contents = with_content(known).filter(pl.col("unit").is_in([batch.file for batch in files.values()]))
    held_files = set(contents["unit"])
    for batch_id, batch in files.items():
        if batch.file not in held_files:
            continue
        content = batch.fingerprint.split(" ")[0]
        earlier = contents.filter((pl.col("unit") == batch.file) & (pl.col("content") != content))["batch_id"]
        said = delivered.filter(pl.col("batch_id") == batch_id).drop_nulls(KEY)
        if earlier.is_empty() or said.is_empty():
            continue
        if "later_at" in said.columns:
            later = said.drop_nulls("later_at").with_columns(observed_at="later_at")
            said = pl.concat([said, later]).drop("later_at")
        said = said.select(*KEY, *config.variables)
        config.dropped.add(batch.file, content, said, held, set(earlier), set(batch.accumulations))


def _make_amounts(
    con: duckdb.DuckDBPyConnection, rows: pl.DataFrame, batches: Mapping[str, SourceBatch], source: str
) -> tuple[pl.DataFrame, pl.DataFrame, dict[CounterKey, pl.DataFrame]]:
    """The rows with amounts in place of the numbers of counters, of running hours and rates.

    Returns the rows; rows of held instants whose amount is another one now; and the numbers to hold from now on, by counter.
    """
    accumulations = {name: one for batch in batches.values() for name, one in batch.accumulations.items()}
    changed, counters = [rows.clear()], {}
    for name, accumulation in accumulations.items():
        key = CounterKey(source, accumulation.counter, name)
        ranges = rows.drop_nulls([*KEY, name]).group_by("station_id").agg(
            (pl.col("observed_at").min() - DAY).alias("since"), (pl.col("observed_at").max() + DAY).alias("until")
        )  # fmt: skip
        made = accumulate(rows, read_counter(con, key, ranges), name, accumulation)
        rows, counters[key] = made.rows, made.numbers
        changed.append(made.changed)
    return rows, pl.concat(changed), counters


def settle_rows(
    rows: pl.DataFrame,
    batches: Mapping[str, SourceBatch],
    variables: Mapping[str, Variable],
    read_held: Callable[[pl.DataFrame], pl.DataFrame],
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The rows with one instant each, and the problems of those for which nothing tells which of two they stand for.

    read_held: gives what is held at the stations and instants of rows.
    Numbers of counters tell nothing, because amounts are held of them; and without an instant they make no amount.
    """
    if "later_at" not in rows.columns:
        return rows, []
    counted = {name for batch in batches.values() for name in batch.accumulations}
    both = pl.concat([rows, rows.with_columns(observed_at="later_at")]).filter(pl.col("later_at").is_not_null())
    stated = all(batch.receipt == "stated" for batch in batches.values())
    compared = [name for name in variables if name not in counted]
    settled, is_open = settle_doubled_hours(rows, read_held(both), compared, stated=stated)
    kept = settled.drop("later_at").with_columns(pl.when(~is_open).then(name).alias(name) for name in counted)
    return kept, [_no_instant(settled.filter(is_open))]


def _no_instant(rows: pl.DataFrame) -> pl.DataFrame:
    """The problems of rows that may stand for observed_at or later_at, as `find_problems` gives them."""
    return rows.select(
        "row",
        "batch_id",
        "row_number",
        column=pl.lit("observed_at"),
        value=pl.col("observed_at").dt.strftime("%Y-%m-%dT%H:%MZ or an hour later"),
        reason=pl.lit(TOLD_TWICE),
        costs_row=pl.lit(value=True),
    )


def _receipt_of_corrections(observed: pl.Series, held: pl.DataFrame, config: LoadConfig) -> datetime:
    """The received_at of corrections whose receipt the source does not state: the clock, within limits.

    At most LONGEST_SILENCE after the newest observation, because the clock may be wrong; and later than what is corrected.
    observed: observed_at or issued_at of the rows.
    """
    newest: datetime | None = pl.concat([observed, pl.Series([config.newest], dtype=UTC_TIME)]).max()  # type: ignore[assignment]
    receipt = min(config.now, newest + LONGEST_SILENCE) if newest else config.now
    before: datetime | None = held["received_at"].max()  # type: ignore[assignment]
    if before is None or before > config.now + HOUR:
        return receipt
    return max(receipt, before + timedelta(microseconds=1))


def stack_rows(batches: Mapping[str, SourceBatch], variables: Mapping[str, Variable]) -> pl.DataFrame:
    """All rows of the batches: row (counted over all), batch_id, row_number (within its batch), the keys, every variable.

    And `later_at`, if a batch has it; null in the rows of others.
    """
    frames = []
    for batch_id, batch in batches.items():
        absent = [pl.lit(None, pl.Float64).alias(name) for name in variables if name not in batch.readings.columns]
        key = _key(batch.readings)
        twice = [name for name in ("later_at",) if name in batch.readings.columns]
        readings = batch.readings.with_columns(absent).select(*key, *twice, "received_at", *variables)
        frames.append(readings.with_row_index("row_number").with_columns(pl.lit(batch_id).alias("batch_id")))
    return pl.concat(frames, how="diagonal").with_row_index("row")


def _read_held(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> pl.DataFrame:
    """The stored rows in the time that `rows` span at each station: readings, or external forecasts by issued_at."""
    if rows.is_empty():
        return rows
    instant = pl.col(_key(rows)[1])
    ranges = rows.group_by("station_id").agg(instant.min().alias("since"), instant.max().alias("until"))
    return read_issues_of(con, ranges) if "issued_at" in rows.columns else read_readings_of(con, ranges)


def _make_records(
    batches: Mapping[str, SourceBatch],
    kept: pl.DataFrame,
    new_readings: pl.DataFrame,
    revised: pl.DataFrame,
    refused: pl.DataFrame,
    config: LoadConfig,
) -> list[BatchRecord]:
    """The records of loaded batches, from the rows that were kept, were new, revised something, or were refused."""
    counts = {
        name: dict(frame.group_by("batch_id").len().iter_rows())
        for name, frame in {
            "kept": kept,
            "new": new_readings.unique("row"),  # a row may correct one value and be the first with another
            "revised": revised.unique("row"),
            "refused": refused.select("batch_id", "row").unique(),
        }.items()
    }
    return [
        BatchRecord(
            batch_id=batch_id,
            source=config.source,
            origin=batch.origin,
            fingerprint=batch.fingerprint,
            complete=batch.complete,
            received_until=config.until,
            rows_delivered=len(batch.readings),
            rows_kept=counts["kept"].get(batch_id, 0),
            rows_repeated=counts["kept"].get(batch_id, 0) - counts["new"].get(batch_id, 0),
            rows_revised=counts["revised"].get(batch_id, 0),
            rows_refused=counts["refused"].get(batch_id, 0),
            ingested_at=config.now,
            mapping=config.mapping,
            receipt=batch.receipt,
            header=batch.header or None,
        )
        for batch_id, batch in batches.items()
    ]


def _make_rejected_record(
    config: LoadConfig, batch_id: str, batch: SourceBatch, rejection: BatchRejection
) -> BatchRecord:
    """The record of a rejected batch. It counts as incomplete, so that the source delivers it again."""
    return BatchRecord(
        batch_id=batch_id,
        source=config.source,
        origin=batch.origin,
        fingerprint=batch.fingerprint,
        complete=False,
        received_until=config.until,
        rows_delivered=len(batch.readings),
        rows_kept=0,
        rows_repeated=0,
        rows_revised=0,
        rows_refused=len(batch.readings),
        ingested_at=config.now,
        reason=str(rejection.error),
    )


def adopt_tolerance(con: duckdb.DuckDBPyConnection, source: str, tolerance: timedelta) -> None:
    """Have the observations made with this tolerance of a source from now on, past hours too if it has another one so far."""
    before = read_tolerance(con, source)
    if before == tolerance:
        return
    with transaction(con):
        write_tolerance(con, source, tolerance)
        moved = read_just_past_the_hour(con, source, max(before, tolerance))
        mark_stale(con, *stale_ranges(moved))


def stale_ranges(new_readings: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The hours that new readings make stale, as `mark_stale` takes them.

    Returns the hours that the readings fall into, one range per station and month (station_id, since, until); and from which
    hour on each station's later observations rest on a changed climatology (station_id, boundary).
    """
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
