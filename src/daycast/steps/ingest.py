"""Take in what a source has: fetch, store in groups, and bring the observations up to date.

The warehouse is open while something is read from it or written to it, and never while a source is waited for.
"""

import contextvars
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

import duckdb
import polars as pl

from daycast.errors import ConfigError, DaycastError, SourceError, join_errors
from daycast.quality.contracts import check_contracts_are_on
from daycast.settings import Settings
from daycast.sources.batch import Source, SourceBatch, Stop, StoppedError, current_stop
from daycast.steps.load import LONGEST_SILENCE, LoadConfig, load_batches
from daycast.steps.map_blocks import MapBlocks
from daycast.steps.observe import make_observations
from daycast.steps.record_run import correct_clock
from daycast.warehouse.readings import BatchRecord, read_fingerprints, read_watermark, write_watermark
from daycast.warehouse.runs import read_newest_observed

# Read a source in a thread of its own, ahead of whoever stores what it gives, until it ends or its time is over.


GROUP_ROWS = 500_000  # stored at once: bounded memory, and a killed run loses no more
GROUP_SECONDS = 5.0  # or sooner, where a source is slow
PAUSE_S = 0.5  # or at once, where nothing comes for so long
_LEAVE_S = 1.0  # for the thread to end once it is asked to; it cannot keep the process from ending


class ReadAhead:
    """What `read` yields, in groups of about GROUP_ROWS rows; the next group is read while the one before is stored.

    A context manager, whose end stops the reading wherever it is. read: called in the thread. seconds: after which no more is
    waited for; None: never.
    """

    def __init__(self, read: Callable[[], Generator[SourceBatch, None, None]], seconds: float | None) -> None:
        self.error: BaseException | None = None  # what `read` raised, after all that it gave before
        self.out_of_time = False  # it was not done when its time was over
        self._read, self._stop, self._changed = read, Stop(), threading.Condition()
        self._group, self._rows, self._ended = list[SourceBatch](), 0, False
        self._came = 0.0  # when the last delivery of the group did
        self._deadline = float("inf") if seconds is None else time.monotonic() + seconds
        context = contextvars.copy_context()
        context.run(current_stop.set, self._stop)
        self._thread = threading.Thread(target=context.run, args=[self._run], name="reading", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.ask()
        with self._changed:
            self._changed.notify_all()  # it may wait for room
        self._thread.join(_LEAVE_S)

    def groups(self) -> Iterator[list[SourceBatch]]:
        """Yield the groups. Afterwards `error` and `out_of_time` say how that ended."""
        while not self.out_of_time:
            group, ended = self._take()
            if not ended and time.monotonic() >= self._deadline:
                self.out_of_time = True
                self._stop.ask()
            if group:
                yield group
            if ended:
                return

    def _take(self) -> tuple[list[SourceBatch], bool]:
        """Wait for a group, and take it: smaller or empty where no more is waited for. Returns too whether it was the last."""
        with self._changed:
            begun = time.monotonic()
            while not self._ended and self._rows < GROUP_ROWS:
                due = self._deadline
                if self._group:
                    due = min(due, begun + GROUP_SECONDS, self._came + PAUSE_S)
                left = due - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(None if left == float("inf") else left)
            group, self._group, self._rows = self._group, [], 0
            self._changed.notify_all()
            return group, self._ended

    def _run(self) -> None:
        try:
            with closing(self._read()) as deliveries:
                for delivery in deliveries:
                    self._put(delivery)
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - whoever stores decides what becomes of it
            self.error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, delivery: SourceBatch) -> None:
        with self._changed:
            while self._rows >= GROUP_ROWS and not self._stop.is_asked:
                self._changed.wait()
            self._stop.check()
            self._group.append(delivery)
            self._rows, self._came = self._rows + len(delivery.readings), time.monotonic()
            self._changed.notify_all()


_LIMIT = "ingest.max_minutes"


@dataclass(frozen=True)
class Ingested:
    """What one source brought; kept = repeated + revised + new, and flagged counts hourly values by check."""

    source: str
    delivered: int
    kept: int
    repeated: int
    revised: int
    refused: int
    waiting: int = 0  # rows stamped later than the moment of the run: they stay with the source until their time comes
    flagged: Counter[str] = field(default_factory=Counter)
    stopped_after_min: float | None = None  # its time was over before its end: the rest is left to the next run

    def __str__(self) -> str:
        checks = ", ".join(f"{check} {count:,}" for check, count in self.flagged.most_common())
        flagged = f"{self.flagged.total():,} values flagged" + (f" ({checks})" if checks else "")
        waiting = f", {self.waiting:,} wait: stamped later than now" if self.waiting else ""
        minutes = self.stopped_after_min
        left = f"; stopped after {minutes:.3g} min ({_LIMIT}), the rest is left to the next run" if minutes else ""
        return (
            f"{self.source}: {self.delivered:,} rows delivered, {self.kept:,} kept ({self.repeated:,} known before, "
            f"{self.revised:,} revised), {self.refused:,} refused{waiting}; {flagged}{left}"
        )


@dataclass(frozen=True)
class IngestProgress:
    """How far an ingest has come: first rows are stored, then observations are made of them, piece by piece."""

    source: str
    rows: int
    pieces_done: int = 0
    pieces: int = 0


def choose_sources(settings: Settings, name: str | None) -> Sequence[Source]:
    """Every configured source, or the one of this name. Raises ConfigError where there is none."""
    if name is None:
        return settings.sources
    chosen = [source for source in settings.sources if source.name == name]
    if not chosen:
        names = ", ".join(source.name for source in settings.sources)
        raise ConfigError(f"there is no source {name!r}; configured are: {names}")
    return chosen


def ingest_source(
    settings: Settings,
    source: Source,
    now: datetime,
    since: datetime | None = None,
    watch: Callable[[IngestProgress], None] = lambda _: None,
    map_blocks: MapBlocks = map,
    until: datetime | None = None,
    minutes: float | None = None,
) -> Ingested:
    """Take in everything `source` received up to `until`, by default `now`: from `since`, else from where the last ingest ended.

    now: the real clock, which every account bears and corrections are received at. Where observations are old it is not
    believed without limit: a correction, and the watermark, are at most 31 days after the newest of them.

    Groups of deliveries are one transaction each, so that a run killed anywhere continues where it stopped. Raises SourceError,
    and ContractError where too large a share of a delivery is bad, both after everything that can be taken in was; one error
    tells of all. spread: who computes the blocks of stations; what comes out is the same. minutes: after which no more is waited
    for, by default `ingest.max_minutes`; what came is taken in then, and the next ingest begins where this one did. SourceError
    if nothing came.
    """
    check_contracts_are_on()
    until = until or now
    with settings.warehouse.write(now) as con:
        correct_clock(con, now)
        watermark, seen = read_watermark(con, source.name), read_fingerprints(con, source.name)
        newest = read_newest_observed(con)
    start = since or watermark
    listed: list[pl.DataFrame] = []

    def read() -> Generator[SourceBatch, None, None]:
        listed.append(source.stations())
        yield from source.fetch(start, until, settings.glossary, seen)

    def make_load_config() -> LoadConfig:
        """Once something came, and with it the stations that are listed."""
        return LoadConfig(
            source=source.name,
            listed=listed[0],
            variables=settings.glossary,
            now=now,
            until=until,
            newest=newest,
            earliest=settings.ingest.earliest,
            refuse_above=settings.ingest.refuse_above,
            resumed_from=watermark if source.resumes and since is None else None,
        )

    minutes = settings.ingest.max_minutes if minutes is None else minutes
    with ReadAhead(read, 60 * minutes) as reading:
        stored = _store_groups(settings, reading, make_load_config, watch)
    errors = stored.errors + _ends_of(reading, source.name, minutes, nothing_came=not stored.batches)
    say = lambda done, of: watch(IngestProgress(source.name, stored.rows, done, of))  # noqa: E731
    flagged = make_observations(settings, now, say, map_blocks)
    if errors:
        raise join_errors(errors)
    if (source.resumes or stored.stated) and since is None and not reading.out_of_time:
        with settings.warehouse.write(now) as con:
            _raise_watermark(con, source.name, until)
    return _sum_up(source.name, stored, flagged, minutes if reading.out_of_time else None)


@dataclass
class _Stored:
    """What came of one source, and what of it could not be taken in."""

    batches: list[BatchRecord] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    waiting: int = 0  # rows
    stated: bool = False  # whether any delivery says itself when it was received

    @property
    def rows(self) -> int:
        """How many were delivered."""
        return sum(batch.rows_delivered for batch in self.batches)


def _store_groups(
    settings: Settings,
    reading: ReadAhead,
    make_load_config: Callable[[], LoadConfig],
    watch: Callable[[IngestProgress], None],
) -> _Stored:
    """Take in each group when it came; the warehouse is open only for that."""
    stored = _Stored()
    for group in reading.groups():
        intake = make_load_config()
        with settings.warehouse.write(intake.now) as con:
            batches, refused = load_batches(con, group, intake)
        stored.batches += batches
        stored.errors += refused.values()
        stored.waiting += sum(delivery.waiting for delivery in group)
        stored.stated |= any(delivery.receipt == "stated" for delivery in group)
        _finish(group, refused, stored.errors)
        watch(IngestProgress(intake.source, stored.rows))
    return stored


def _raise_watermark(con: duckdb.DuckDBPyConnection, source: str, until: datetime) -> None:
    """Move it up to `until`, though not long after the newest observation: one wrong clock would silence the source."""
    watermark, newest = read_watermark(con, source), read_newest_observed(con)
    if newest is None:
        return
    reached = min(until, newest + LONGEST_SILENCE)
    if watermark is None or reached > watermark:
        write_watermark(con, source, reached)


def _ends_of(reading: ReadAhead, source: str, minutes: float, *, nothing_came: bool) -> list[Exception]:
    """What was wrong with how the reading ended. What is no Exception is raised at once."""
    if reading.error is not None and not isinstance(reading.error, Exception):
        raise reading.error
    if reading.out_of_time and nothing_came:
        slow = f"source {source!r} gave nothing new in {minutes:.3g} min, and was not done"
        return [SourceError(f"{slow}: see whether it answers, or raise {_LIMIT}")]
    return [reading.error] if reading.error else []


def _sum_up(source: str, stored: _Stored, flagged: Counter[str], stopped_after_min: float | None) -> Ingested:
    return Ingested(
        source=source,
        delivered=stored.rows,
        kept=sum(batch.rows_kept for batch in stored.batches),
        repeated=sum(batch.rows_repeated for batch in stored.batches),
        revised=sum(batch.rows_revised for batch in stored.batches),
        refused=sum(batch.rows_refused for batch in stored.batches),
        waiting=stored.waiting,
        flagged=flagged,
        stopped_after_min=stopped_after_min,
    )


def _finish(group: Sequence[SourceBatch], refused: Collection[str], errors: list[Exception]) -> None:
    """Let the source put away what was taken in; what was refused whole stays where the operator will look for it."""
    for delivery in group:
        if delivery.complete and delivery.fingerprint not in refused:
            try:
                delivery.finish()
            except DaycastError as error:
                errors.append(error)
