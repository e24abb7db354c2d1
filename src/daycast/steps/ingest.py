"""Take in what a source has: fetch, store in groups, and bring the observations up to date.

The warehouse is open while something is read from it or written to it, and never while a source is waited for.
"""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
import polars as pl

from daycast.errors import ConfigError, DaycastError, SourceError, join_errors
from daycast.quality.contracts import check_contracts_are_on
from daycast.settings import Settings
from daycast.sources.delivery import Delivery, Source
from daycast.steps.check_clock import correct_clock
from daycast.steps.observe import make_observations
from daycast.steps.read_ahead import ReadAhead
from daycast.steps.spread import Spread
from daycast.steps.take_in import LONGEST_SILENCE, Intake, take_in
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.ingestion import Batch, read_seen, read_watermark, write_watermark
from daycast.warehouse.stamps import read_newest_observed

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
    spread: Spread = map,
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
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        correct_clock(con, now)
        watermark, seen = read_watermark(con, source.name), read_seen(con, source.name)
        newest = read_newest_observed(con)
    start = since or watermark
    listed: list[pl.DataFrame] = []

    def read() -> Generator[Delivery, None, None]:
        listed.append(source.stations())
        yield from source.fetch(start, until, settings.glossary, seen)

    def make_intake() -> Intake:
        """Once something came, and with it the stations that are listed."""
        return Intake(
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
        stored = _store_groups(settings, reading, make_intake, watch)
    errors = stored.errors + _ends_of(reading, source.name, minutes, nothing_came=not stored.batches)
    say = lambda done, of: watch(IngestProgress(source.name, stored.rows, done, of))  # noqa: E731
    flagged = make_observations(settings, now, say, spread)
    if errors:
        raise join_errors(errors)
    if (source.resumes or stored.stated) and since is None and not reading.out_of_time:
        with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
            _raise_watermark(con, source.name, until)
    return _sum_up(source.name, stored, flagged, minutes if reading.out_of_time else None)


@dataclass
class _Stored:
    """What came of one source, and what of it could not be taken in."""

    batches: list[Batch] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    waiting: int = 0  # rows
    stated: bool = False  # whether any delivery says itself when it was received

    @property
    def rows(self) -> int:
        """How many were delivered."""
        return sum(batch.rows_delivered for batch in self.batches)


def _store_groups(
    settings: Settings, reading: ReadAhead, make_intake: Callable[[], Intake], watch: Callable[[IngestProgress], None]
) -> _Stored:
    """Take in each group when it came; the warehouse is open only for that."""
    stored = _Stored()
    for group in reading.groups():
        intake = make_intake()
        with open_warehouse(settings.warehouse, settings.glossary.values(), intake.now) as con:
            batches, refused = take_in(con, group, intake)
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


def _finish(group: Sequence[Delivery], refused: Collection[str], errors: list[Exception]) -> None:
    """Let the source put away what was taken in; what was refused whole stays where the operator will look for it."""
    for delivery in group:
        if delivery.complete and delivery.fingerprint not in refused:
            try:
                delivery.finish()
            except DaycastError as error:
                errors.append(error)
