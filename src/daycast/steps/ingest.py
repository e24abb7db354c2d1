"""Ingest a source: fetch its batches, load them in groups, and bring the observations up to date.

`ingest_source` is the step, read top to bottom. The source is read in a thread of its own (`read_ahead`), so that the warehouse
is open only while a group is stored, never while the source is waited for.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import duckdb
import polars as pl

from daycast.errors import ConfigError, DaycastError, SourceError, join_errors
from daycast.features.hourly import is_just_past_the_hour
from daycast.quality.contracts import check_contracts_are_on
from daycast.settings import Settings
from daycast.sources.batch import Source, SourceBatch
from daycast.sources.files.csv import CsvSource
from daycast.sources.files.inbox import Inbox
from daycast.steps.counter_doubts import find_slow_counters
from daycast.steps.doubts import Doubts, find_doubts
from daycast.steps.edited_files import DeliveredAgain, DroppedValues
from daycast.steps.load import CheckedRows, LoadConfig, adopt_tolerance, load_batches, record_refused
from daycast.steps.map_blocks import MapBlocks
from daycast.steps.observe import LONGEST_SILENCE, make_observations
from daycast.steps.read_ahead import ReadAhead
from daycast.steps.record_run import correct_clock
from daycast.steps.rejections import without_negative_totals
from daycast.steps.reread import (
    Asked,
    describe,
    find_due,
    mapping_id,
    mapping_of,
    opened,
    put_away_by,
    remove_scratch,
    restate_source,
    scratch_of,
    source_again,
    unread_line,
)
from daycast.warehouse.observations import read_readings_of, read_stations
from daycast.warehouse.readings import (
    BatchRecord,
    read_batches,
    read_fingerprints,
    read_header,
    read_watermark,
    write_watermark,
)
from daycast.warehouse.runs import read_newest_observed
from daycast.warehouse.warehouse import Warehouse, holding_slot

_log = logging.getLogger("daycast")
_LIMIT_KEY = "ingest.max_minutes"


@dataclass(frozen=True)
class Ingested:
    """What one source delivered, in rows: delivered = kept + refused, and kept = repeated + revised + new ones."""

    source: str
    delivered: int
    kept: int
    repeated: int  # kept rows that brought nothing new
    revised: int  # kept rows that changed an instant known already
    refused: int  # rejected rows
    waiting: int = 0  # rows stamped later than `until`: they stay with the source until then
    bad_values: int = 0  # values that could not be read, in rows that were kept
    left_out: int = 0  # rows about nothing that the network reads
    flagged: Counter[str] = field(default_factory=Counter)  # newly flagged hourly values by check
    stopped_after_min: float | None = None  # the time limit, if it was reached: the rest is left to the next run
    doubts: tuple[str, ...] = ()  # what is odd about the rows, and what to set
    moved: int = 0  # rows stamped just past a full hour that count for it, by the source's tolerance
    reread: str = ""  # what came of reading it again, and why that was done; empty if it was not

    def __str__(self) -> str:
        checks = ", ".join(f"{check} {count:,}" for check, count in self.flagged.most_common())
        flagged = f"{self.flagged.total():,} values flagged" + (f" ({checks})" if checks else "")
        waiting = f", {self.waiting:,} wait: stamped later than now" if self.waiting else ""
        bad = f", {self.bad_values:,} value{'s' if self.bad_values > 1 else ''} refused" if self.bad_values else ""
        out = f", {self.left_out:,} rows left out: not mapped" if self.left_out else ""
        moved = f", {self.moved:,} counted for the full hour just before their stamp" if self.moved else ""
        minutes = self.stopped_after_min
        left = f"; stopped after {minutes:.3g} min ({_LIMIT_KEY}), the rest is left to the next run" if minutes else ""
        delivered = (
            f"{self.delivered:,} rows delivered, {self.kept:,} kept ({self.repeated:,} known before, "
            f"{self.revised:,} revised), {self.refused:,} refused{bad}"
        )
        if self.reread:
            delivered = f"{self.reread}; {'new are ' + delivered if self.delivered else 'nothing new was delivered'}"
        return f"{self.source}: {delivered}{out}{waiting}{moved}; {flagged}{left}"


def choose_sources(settings: Settings, name: str | None) -> Sequence[Source]:
    """All configured sources, or the one of this name. Raises ConfigError if there is no such source."""
    if name is None:
        return settings.sources
    chosen = [source for source in settings.sources if source.name == name]
    if not chosen:
        names = ", ".join(source.name for source in settings.sources)
        raise ConfigError(f"there is no source {name!r}; configured are: {names}")
    return chosen


@dataclass(frozen=True)
class IngestProgress:
    """How far an ingest has come: first rows are stored, then observations are computed, chunk by chunk."""

    source: str
    rows: int
    pieces_done: int = 0  # chunks of observations
    pieces: int = 0


def ingest_source(
    settings: Settings,
    source: Source,
    now: datetime,
    since: datetime | None = None,
    progress: Callable[[IngestProgress], None] = lambda _: None,
    map_blocks: MapBlocks = map,
    until: datetime | None = None,
    minutes: float | None = None,
    *,
    reread: bool = False,
) -> Ingested:
    """Load everything `source` received from `since` up to `until`, then bring the observations up to date.

    reread: first read the source again, what was observed from `since` on, and restate what had been read wrongly. That happens
    by itself, for everything, if the settings that say how the source is read have changed.

    since: by default where the last ingest ended, if the source resumes. until: by default `now`. now: the real clock, written
    into every record and used as the receipt of corrections; neither these nor the watermark go beyond 31 days after the newest
    observation, in case the clock is wrong. map_blocks: computes the blocks of stations; the result does not depend on it.
    minutes: time limit for reading, by default `ingest.max_minutes`. What was read by then is loaded, and the next ingest starts
    where this one did.

    Each group of batches is one transaction, so the next run continues after a killed one. Raises SourceError if the source
    fails, or delivers nothing within the time limit, and ContractError if a batch is rejected; both after everything else was
    loaded, and as one error if there are several.
    """
    check_contracts_are_on()
    until = until or now
    minutes = settings.ingest.max_minutes if minutes is None else minutes
    run = _Run(settings, source, now, until, minutes, progress)
    again = _read_again(run, Asked(since) if reread else None)
    if again.out_of_time:
        return replace(_sum_up(source.name, _Stored(), Counter(), minutes), reread=again.note)
    since = None if reread else since
    with settings.warehouse.write(now) as con:
        watermark, seen = read_watermark(con, source.name), read_fingerprints(con, source.name)
        newest = read_newest_observed(con)
        if isinstance(source, Inbox):
            source = source.with_delivered_again(DeliveredAgain(source, read_batches(con, source.name), now))
        source = _with_first_header(con, source, settings)
    resumed_from = watermark if source.resumes and since is None else None
    given = {"newest": newest, "resumed_from": resumed_from}
    start = since or (watermark if source.resumes else None)
    loaded = _load(run, settings.warehouse, source, start, seen, given)
    stored, reading = loaded.stored, loaded.reading
    if isinstance(reading.error, SourceError) and reading.error.refused:
        with settings.warehouse.write(now) as con:
            record_refused(con, reading.error.refused, loaded.make_config())
    errors = [*again.errors, *loaded.errors]
    report = lambda done, total: progress(IngestProgress(source.name, stored.rows, done, total))  # noqa: E731
    flagged = make_observations(settings, now, report, map_blocks)
    if errors:
        for doubt in filter(None, (again.note, *stored.doubts.told())):  # what they are about is not read again
            _log.warning("%s: %s", source.name, doubt)
        raise join_errors(errors)
    if source.resumes and since is None and not reading.out_of_time:
        with settings.warehouse.write(now) as con:
            _raise_watermark(con, source.name, until)
    done = _sum_up(source.name, stored, flagged, minutes if reading.out_of_time else None)
    return replace(done, reread=again.note)


def _with_first_header(con: duckdb.DuckDBPyConnection, source: Source, settings: Settings) -> Source:
    """The source, with the header of its first file if columns are read by their position."""
    if not isinstance(source, CsvSource):
        return source
    found = read_header(con, source.name, mapping_id(mapping_of(source, settings.glossary)))
    return source.with_first_header(*found) if found else source


@dataclass(frozen=True)
class _Run:
    """What an ingest of one source is given."""

    settings: Settings
    source: Source
    now: datetime
    until: datetime
    minutes: float
    progress: Callable[[IngestProgress], None]


@dataclass(frozen=True)
class _Loaded:
    """What was read of a source and stored, and what could not be."""

    stored: "_Stored"
    reading: ReadAhead
    errors: list[Exception]
    make_config: Callable[[], LoadConfig]


def _load(
    run: _Run,
    warehouse: Warehouse,
    source: Source,
    start: datetime | None,
    seen: Collection[str],
    given: Mapping[str, Any],
    *,
    finish: bool = True,
) -> _Loaded:
    """Read what `source` received from `start` on, without the batches `seen`, and store it in `warehouse`.

    given: the fields of LoadConfig that depend on what is held. finish: let the source put away what was stored.
    """
    settings, listed, dropped = run.settings, list[pl.DataFrame](), DroppedValues(source.name, put_away_by(source))

    def read() -> Generator[SourceBatch, None, None]:
        listed.append(source.stations())
        yield from source.fetch(start, run.until, settings.glossary, seen)

    def make_config() -> LoadConfig:
        """The configuration of the loading; complete only once `read` has listed the stations."""
        return LoadConfig(
            source=source.name,
            listed=listed[0],
            variables=settings.glossary,
            now=run.now,
            until=run.until,
            earliest=settings.ingest.earliest,
            refuse_above=settings.ingest.refuse_above,
            mapping=mapping_id(mapping_of(source, settings.glossary)),
            dropped=dropped,
            **given,
        )

    with ReadAhead(read, 60 * run.minutes) as reading:
        stored = _store_groups(warehouse, reading, make_config, run.progress, finish=finish)
    stored.doubts.add(dropped.told(), dropped.files)
    failed = _errors_of_reading(reading, source.name, run.minutes, nothing_loaded=not stored.records)
    return _Loaded(stored, reading, stored.errors + failed, make_config)


@dataclass(frozen=True)
class Trial:
    """What ingest would store of a source, and what it would say: see `Ingested`."""

    records: Sequence[BatchRecord]
    waiting: int
    doubts: Sequence[str]
    errors: Sequence[Exception]  # that it would end with


def try_source(
    settings: Settings,
    source: Source,
    until: datetime,
    warehouse: Warehouse,
    watch: Callable[[CheckedRows], None],
) -> Trial:
    """Load a source into another warehouse, as its first ingest at `until` would; nothing is moved away or confirmed.

    watch: is shown all rows after they were checked.
    """
    run = _Run(settings, source, until, until, settings.ingest.max_minutes, lambda _: None)
    given = {"newest": None, "resumed_from": None, "watch": watch}
    loaded = _load(run, warehouse, source, None, (), given, finish=False)
    stored = loaded.stored
    return Trial(stored.records, stored.waiting, stored.doubts.told(), loaded.errors)


@dataclass(frozen=True)
class _Again:
    """What came of reading a source again, if that was due."""

    note: str = ""
    errors: tuple[Exception, ...] = ()
    out_of_time: bool = False


def _read_again(run: _Run, asked: Asked | None) -> _Again:
    """Read the source again if that is due, and restate its readings.

    Raises what the reading ended with if nothing could be read: it is tried again at the next ingest.
    """
    settings, source, now = run.settings, run.source, run.now
    with settings.warehouse.write(now) as con:
        correct_clock(con, now)
        adopt_tolerance(con, source.name, getattr(source, "tolerance", timedelta(0)))
        due = find_due(con, source, settings.glossary, now, asked)
        source = _with_first_header(con, source, settings)
    if due is None or due.reread is None:
        remove_scratch(settings, source.name)  # of a run that was killed at its very end
        return _Again() if due is None else _Again(describe(due, None))
    reread, mapping = due.reread, mapping_of(source, settings.glossary)
    scratch = scratch_of(settings, reread, mapping)
    with opened(scratch, now) as con:
        seen, given = read_fingerprints(con, source.name), {"newest": read_newest_observed(con)}
        source = _with_first_header(con, source, settings)
    given |= {"resumed_from": None, "reread_at": reread.begun_at}
    with holding_slot(nullcontext):
        start = reread.since and reread.since - timedelta(microseconds=1)
        loaded = _load(run, scratch, source_again(source), start, seen, given, finish=False)
    if loaded.reading.out_of_time:
        note = f"it is being read again ({due.changes or 'as asked'}), which the next ingest goes on with"
        return _Again(note, out_of_time=True)
    with opened(scratch, now) as con:
        nothing = read_batches(con, source.name).is_empty()
    if loaded.errors and (nothing or (source.resumes and not loaded.stored.records)):
        raise join_errors(loaded.errors)
    unread = _unread(loaded)
    outcome = restate_source(settings, source, reread, scratch, loaded.make_config().listed, unread, now)
    return _Again(describe(due, outcome) + unread_line(unread), tuple(loaded.errors))


def _unread(loaded: _Loaded) -> list[str]:
    """What could not be read again: files by name, or what stands for everything else."""
    error = loaded.reading.error
    refused = list(error.refused) if isinstance(error, SourceError) else []
    rejected = [one.origin for one in loaded.stored.records if one.reason is not None]
    return [*refused, *rejected] or (["the rest"] if loaded.errors else [])


@dataclass
class _Stored:
    """What was loaded of one source, and what could not be."""

    records: list[BatchRecord] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    waiting: int = 0  # rows
    bad_values: int = 0
    left_out: int = 0  # rows
    moved: int = 0  # rows
    doubts: Doubts = field(default_factory=Doubts)

    @property
    def rows(self) -> int:
        """The number of rows delivered."""
        return sum(record.rows_delivered for record in self.records)


def _store_groups(
    warehouse: Warehouse,
    reading: ReadAhead,
    make_load_config: Callable[[], LoadConfig],
    progress: Callable[[IngestProgress], None],
    *,
    finish: bool,
) -> _Stored:
    """Load each group as it comes; the warehouse is open only meanwhile."""
    stored = _Stored()
    for group in ([without_negative_totals(batch) for batch in batches] for batches in reading.groups()):
        config = make_load_config()
        with warehouse.write(config.now) as con:
            records, rejected = load_batches(con, group, config)
            stations = pl.concat(one.select("station_id", "latitude") for one in (config.listed, read_stations(con)))
            slow = find_slow_counters(group, config.variables, partial(_read_held_of, con, config.source))
        stored.records += records
        stored.errors += rejected.values()
        stored.waiting += sum(batch.waiting for batch in group)
        stored.left_out += sum(batch.left_out for batch in group)
        stored.bad_values += sum(len(batch.bad_values) for batch in group if batch.fingerprint not in rejected)
        stored.moved += sum(_count_moved(batch) for batch in group)
        files = dict.fromkeys(batch.file for batch in group if batch.file)
        found = find_doubts(group, config.variables, stations)
        told = {doubt.split(":")[0] for doubt in found}
        stored.doubts.add([*found, *(one for one in slow if one.split(":")[0] not in told)], files)
        if finish:
            _finish(group, rejected, stored.errors)
        progress(IngestProgress(config.source, stored.rows))
    return stored


def _read_held_of(con: duckdb.DuckDBPyConnection, source: str, ranges: pl.DataFrame) -> pl.DataFrame:
    """The readings that `source` delivered in station_id, since, until of `ranges`."""
    batches = read_batches(con, source)["batch_id"]
    return read_readings_of(con, ranges).filter(pl.col("batch_id").is_in(batches.implode()))


def _finish(group: Sequence[SourceBatch], rejected: Collection[str], errors: list[Exception]) -> None:
    """Let the source put away the batches that were loaded. Rejected ones stay where the operator will look for them."""
    for batch in group:
        if batch.complete and batch.fingerprint not in rejected:
            try:
                batch.finish()
            except DaycastError as error:
                errors.append(error)


def _raise_watermark(con: duckdb.DuckDBPyConnection, source: str, until: datetime) -> None:
    """Move the watermark up to `until`, within LONGEST_SILENCE of the newest observation: a wrong clock must not silence it."""
    watermark, newest = read_watermark(con, source), read_newest_observed(con)
    if newest is None:
        return
    reached = min(until, newest + LONGEST_SILENCE)
    if watermark is None or reached > watermark:
        write_watermark(con, source, reached)


def _errors_of_reading(reading: ReadAhead, source: str, minutes: float, *, nothing_loaded: bool) -> list[Exception]:
    """The error the reading ended with, if any. Raises at once what is not an Exception, such as an interrupt."""
    if reading.error is not None and not isinstance(reading.error, Exception):
        raise reading.error
    if reading.out_of_time and nothing_loaded:
        slow = f"source {source!r} gave nothing new in {minutes:.3g} min, and was not done"
        return [SourceError(f"{slow}: see whether it answers, or raise {_LIMIT_KEY}")]
    return [reading.error] if reading.error else []


def _sum_up(source: str, stored: _Stored, flagged: Counter[str], stopped_after_min: float | None) -> Ingested:
    return Ingested(
        source=source,
        delivered=stored.rows,
        kept=sum(record.rows_kept for record in stored.records),
        repeated=sum(record.rows_repeated for record in stored.records),
        revised=sum(record.rows_revised for record in stored.records),
        refused=sum(record.rows_refused for record in stored.records),
        waiting=stored.waiting,
        bad_values=stored.bad_values,
        left_out=stored.left_out,
        flagged=flagged,
        stopped_after_min=stopped_after_min,
        doubts=stored.doubts.told(),
        moved=stored.moved,
    )


def _count_moved(batch: SourceBatch) -> int:
    """The rows that count for a full hour though they are stamped after it."""
    if not batch.tolerance or batch.is_forecast:
        return 0
    is_moved = is_just_past_the_hour(pl.col("observed_at"), pl.lit(batch.tolerance))
    return int(batch.readings.select(is_moved.sum()).item())
