"""Take in what a source has: fetch, store in groups, and bring the observations up to date."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from daycast.errors import ConfigError, DaycastError, join_errors
from daycast.quality.contracts import check_contracts_are_on
from daycast.settings import Settings
from daycast.sources.delivery import Delivery, Source
from daycast.steps.check_clock import correct_clock
from daycast.steps.observe import make_observations
from daycast.steps.spread import Spread
from daycast.steps.take_in import LONGEST_SILENCE, Intake, take_in
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.ingestion import Batch, read_seen, read_watermark, write_watermark
from daycast.warehouse.stamps import read_newest_observed

_GROUP_ROWS = 500_000  # stored at once: bounded memory, and a killed run loses no more
_GROUP_SECONDS = 20.0  # or sooner, where a source is slow


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

    def __str__(self) -> str:
        checks = ", ".join(f"{check} {count:,}" for check, count in self.flagged.most_common())
        flagged = f"{self.flagged.total():,} values flagged" + (f" ({checks})" if checks else "")
        waiting = f", {self.waiting:,} wait: stamped later than now" if self.waiting else ""
        return (
            f"{self.source}: {self.delivered:,} rows delivered, {self.kept:,} kept ({self.repeated:,} known before, "
            f"{self.revised:,} revised), {self.refused:,} refused{waiting}; {flagged}"
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
) -> Ingested:
    """Take in everything `source` received up to `until`, by default `now`: from `since`, else from where the last ingest ended.

    now: the real clock, which every account bears and corrections are received at. Where observations are old it is not
    believed without limit: a correction, and the watermark, are at most 31 days after the newest of them.

    Groups of deliveries are one transaction each, so that a run killed anywhere continues where it stopped. Raises SourceError,
    and ContractError where too large a share of a delivery is bad, both after everything that can be taken in was; one error
    tells of all. spread: who computes the blocks of stations; what comes out is the same.
    """
    check_contracts_are_on()
    until = until or now
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        correct_clock(con, now)
        watermark, seen = read_watermark(con, source.name), read_seen(con, source.name)
        newest = read_newest_observed(con)
    start = since or watermark
    intake = Intake(
        source=source.name,
        listed=source.stations(),
        variables=settings.glossary,
        now=now,
        until=until,
        newest=newest,
        earliest=settings.ingest.earliest,
        refuse_above=settings.ingest.refuse_above,
        resumed_from=watermark if source.resumes and since is None else None,
    )
    batches: list[Batch] = []
    errors: list[DaycastError] = []
    waiting, stated = 0, False
    for group in _ahead(_groups(source.fetch(start, until, settings.glossary, seen), errors)):
        stated = stated or any(delivery.receipt == "stated" for delivery in group)
        with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
            stored, refused = take_in(con, group, intake)
        batches += stored
        errors += refused.values()
        waiting += sum(delivery.waiting for delivery in group)
        _finish(group, refused, errors)
        watch(IngestProgress(source.name, sum(batch.rows_delivered for batch in batches)))
    rows = sum(batch.rows_delivered for batch in batches)
    say = lambda done, of: watch(IngestProgress(source.name, rows, done, of))  # noqa: E731
    flagged = make_observations(settings, now, say, spread)
    if errors:
        raise join_errors(errors)
    if (source.resumes or stated) and since is None:
        with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
            _raise_watermark(con, source.name, until)
    return _sum_up(source.name, batches, waiting, flagged)


def _raise_watermark(con: duckdb.DuckDBPyConnection, source: str, until: datetime) -> None:
    """Move it up to `until`, though not long after the newest observation: one wrong clock would silence the source."""
    watermark, newest = read_watermark(con, source), read_newest_observed(con)
    if newest is None:
        return
    reached = min(until, newest + LONGEST_SILENCE)
    if watermark is None or reached > watermark:
        write_watermark(con, source, reached)


def _sum_up(source: str, batches: Sequence[Batch], waiting: int, flagged: Counter[str]) -> Ingested:
    return Ingested(
        source=source,
        delivered=sum(batch.rows_delivered for batch in batches),
        kept=sum(batch.rows_kept for batch in batches),
        repeated=sum(batch.rows_repeated for batch in batches),
        revised=sum(batch.rows_revised for batch in batches),
        refused=sum(batch.rows_refused for batch in batches),
        waiting=waiting,
        flagged=flagged,
    )


def _groups(deliveries: Iterator[Delivery], errors: list[DaycastError]) -> Iterator[list[Delivery]]:
    """Deliveries of about _GROUP_ROWS rows together; what the source raises is noted in `errors`, after what it gave before."""
    group: list[Delivery] = []
    started = time.monotonic()
    try:
        for delivery in deliveries:
            group.append(delivery)
            if sum(len(one.readings) for one in group) >= _GROUP_ROWS or time.monotonic() > started + _GROUP_SECONDS:
                yield group
                group, started = [], time.monotonic()
    except DaycastError as error:
        errors.append(error)
    if group:
        yield group


def _ahead(groups: Iterator[list[Delivery]]) -> Iterator[list[Delivery]]:
    """The groups, each read while the one before is being stored."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, groups, None)
        while (group := coming.result()) is not None:
            coming = reader.submit(next, groups, None)
            yield group


def _finish(group: Sequence[Delivery], refused: Collection[str], errors: list[DaycastError]) -> None:
    """Let the source put away what was taken in; what was refused whole stays where the operator will look for it."""
    for delivery in group:
        if delivery.complete and delivery.fingerprint not in refused:
            try:
                delivery.finish()
            except DaycastError as error:
                errors.append(error)
