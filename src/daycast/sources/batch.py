"""What every source hands over, and what it must implement: read this file to write a new source.

The contract:

1. A source is a class with `name`, `resumes`, `fetch` and `stations` (see `Source`), registered in daycast.settings.sections.
2. `fetch` yields a `SourceBatch` for each file, page or span of time: small enough for memory, large enough for a commit.
3. `readings` has READING_KEYS (external forecasts: EXTERNAL_FORECAST_KEYS) and a Float64 column for each variable it has.
4. Times are UTC (UTC_TIME); values are in daycast's units; what is missing is null, never -9999 or NaN. Counters, totals of a
   running hour and rates stay as they are, and are named in `accumulations`.
5. `raw` has the same rows in the same order, as the source wrote them.
6. A row whose station or time cannot be read stays in the batch, with nulls; make `problems` with `problems_frame` from a
   `Problem` each. Another value that cannot be read is null, and belongs in `bad_values`: the rest of its row lives.
7. Nothing received after `until` is handed over; if rows were held back for that, `complete` is False.
8. `fingerprint` identifies content and reading rules; a batch whose fingerprint is in `seen` is skipped.
9. A setting that does not fit raises ConfigError, unreadable data SourceError: one line, the offending value, the way out.
10. Code that waits or blocks obeys `find_stop()`.
11. A source whose settings decide how rows are read has `mapping`: these settings as JSON (`mapping_text`), without those that
    only say where, when and for which stations to ask. If it changes, the source is read again and its readings are restated.
    A source that hands over everything once has `forgets = True`: nothing of it can be read again.

Order: the columns, `Problem`, `SourceBatch`, `Source`, `fingerprint`, and at the end how reading is cancelled (`Stop`).
"""

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import polars as pl

from daycast.features.amounts import Accumulation
from daycast.times import UTC_TIME
from daycast.variables import BUILT_IN, Variable

READING_KEYS: dict[str, pl.DataType] = {
    "station_id": pl.String(),
    "observed_at": UTC_TIME,  # the instant the sensor stamped; null if it cannot be read
    "received_at": UTC_TIME,  # when we could first have known it; null if observed_at is
}
EXTERNAL_FORECAST_KEYS: dict[str, pl.DataType] = {  # of an external forecast
    "station_id": pl.String(),
    "issued_at": UTC_TIME,  # when it was made; null if it cannot be read, like the times below
    "valid_at": UTC_TIME,  # the full hour it is about
    "received_at": UTC_TIME,  # when we could first have known it
}
PROBLEM_SCHEMA = pl.Schema(
    {
        "row_number": pl.UInt32(),  # index into SourceBatch.readings, from 0
        "column": pl.String(),  # as the source names it
        "value": pl.String(),  # as the source wrote it
        "reason": pl.String(),  # what is wrong with it, in words
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to reject the rows of a batch at which `where` is True.

    `where` and `value` have an entry for each row. `reason` is one text for all rows, or a series with one for each.
    """

    column: str  # as the source names it
    where: pl.Series
    value: pl.Series  # as the source wrote it
    reason: str | pl.Series


def problems_frame(problems: Iterable[Problem]) -> pl.DataFrame:
    """All problems as one frame (PROBLEM_SCHEMA), ordered by row; the problems of one row keep the order they are given in."""
    frames = [
        pl.select(
            row_number=pl.int_range(problem.where.len(), dtype=pl.UInt32),
            column=pl.lit(problem.column),
            value=problem.value,
            reason=pl.lit(problem.reason),
        ).filter(problem.where)
        for problem in problems
        if problem.where.any()
    ]
    return pl.concat([no_problems(), *frames]).sort("row_number", maintain_order=True)


def no_problems() -> pl.DataFrame:
    """An empty frame of problems (PROBLEM_SCHEMA)."""
    return pl.DataFrame(schema=PROBLEM_SCHEMA)


def do_nothing() -> None:
    """The `finish` of most batches: there is nothing left to do after the commit."""


@dataclass(frozen=True)
class SourceBatch:
    """Some rows of a source: a file, part of a large file, a page, or a span of time.

    `origin` names it for people: in messages, and in the table of batches.
    `fingerprint` identifies the content and how it was read. A complete batch with a known fingerprint brings nothing new.
    `readings` has READING_KEYS and a Float64 column for each variable, in daycast's units, null where missing. If the rows
    are an external forecast, it has EXTERNAL_FORECAST_KEYS instead.
    A column `later_at` says which other instant a row may stand for, because its local time came twice when clocks were set
    back and nothing in the source tells which is meant; observed_at is the earlier one.
    `raw` has the same rows in the same order as the source wrote them, in any columns. A rejected row is kept in this form.
    `problems` (PROBLEM_SCHEMA) says what could not be read. These rows are rejected, whatever else they hold.
    `bad_values` (PROBLEM_SCHEMA) are values that could not be read and are null in `readings`; their rows are not rejected.
    `complete` is False if rows were held back because they were received after the moment asked for.
    `receipt` says whether received_at is "stated" by the source, or "assumed" to be observed_at (or issued_at) plus a usual
    delay. If a row corrects an earlier batch, an assumed received_at is replaced by the clock.
    `waiting` counts the rows held back whose own time is later than the moment asked for.
    `left_out` counts rows of the source that are about nothing the network reads, and are not in the batch.
    `doubts` are what the source finds odd about the rows though they can be read: one line each, what was seen with an example,
    and what to set. They are shown, and change nothing.
    `tolerance` is how long after a full hour a reading may be stamped and still count for it; None if the source cannot say.
    `time_format` is how the settings say that times are written (strptime), empty if they say it otherwise.
    `finish` is called after the batch was committed, for example to move a file away.
    `accumulations` names the variables whose numbers in `readings` are no amounts since the row before, and what they are.
    `supersedes` says that earlier batches of the same origin with another fingerprint no longer count as known: a content that
    comes back is news. False if the fingerprints of an origin are a history that the source itself reads.
    `file` is the name of the file that the rows are all or a part of; empty if they are of none, or of one that a service makes.
    `header` has the names in the header of that file, as JSON, if columns are read by their position; else it is empty.
    """

    origin: str
    fingerprint: str
    readings: pl.DataFrame
    raw: pl.DataFrame
    problems: pl.DataFrame
    complete: bool
    receipt: Literal["stated", "assumed"] = "stated"
    waiting: int = 0
    left_out: int = 0
    doubts: tuple[str, ...] = ()
    tolerance: timedelta | None = None
    time_format: str = ""
    finish: Callable[[], None] = do_nothing
    bad_values: pl.DataFrame = field(default_factory=no_problems)
    accumulations: Mapping[str, Accumulation] = field(default_factory=dict)
    supersedes: bool = True
    file: str = ""
    header: str = ""

    @property
    def is_described(self) -> bool:
        """Whether the settings of the source say how rows are read, so that a doubt can name what to set."""
        return self.tolerance is not None

    @property
    def is_forecast(self) -> bool:
        """Whether the rows are an external forecast."""
        return "issued_at" in self.readings.columns


class Source(Protocol):
    """Where readings come from. A new kind is one file with one class that implements this, and one test."""

    @property
    def name(self) -> str:
        """The name given in the configuration."""

    @property
    def resumes(self) -> bool:
        """True if the source answers for a span of time: each fetch then continues where the last one ended."""

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield what was received in (since, until] [UTC], batch by batch; `since` None means from the beginning.

        `variables` are the variables of the network by name, built-in and declared ones. `seen` has the fingerprints of the
        batches that were ingested complete: these need not be read again.
        Raises ConfigError for a setting that does not fit, before anything is read. Raises SourceError, which names the file
        and the value, for what cannot be read: at once if nothing can be read, otherwise after the last batch, so that one
        bad file does not hold back the good ones.
        """

    def stations(self) -> pl.DataFrame:
        """The station list (daycast.stations.STATION_SCHEMA), one row for each station; empty if the source has none."""


def fingerprint(content: bytes | Iterable[bytes], reading: dict[str, Any]) -> str:
    """SHA-256 [hexadecimal] of the content, whole or in blocks, and of everything that decides how it is read.

    `reading` must be serialisable as JSON. If it changes, the content is ingested again.
    """
    digest = hashlib.sha256(json.dumps(reading, sort_keys=True).encode())
    for block in [content] if isinstance(content, bytes) else content:
        digest.update(block)
    return digest.hexdigest()


def declared_units(names: Iterable[str], variables: Mapping[str, Variable]) -> dict[str, str]:
    """The units of those of the mapped variables that the network declares itself: they change readings.

    A variable that nobody knows has none; it is refused when the source is read.
    """
    return {name: variables[name].unit for name in names if name in variables and name not in BUILT_IN}


def mapping_text(version: int, settings: Mapping[str, Any], declared: Mapping[str, str] | None = None) -> str:
    """The `mapping` of a source as JSON: the version of its reader, its settings, the units of variables declared by the network.

    Leave settings at their default out, so that a setting that is added later changes nothing.
    """
    return json.dumps({"version": version, **settings, "declared": declared or {}}, sort_keys=True)


class StoppedError(BaseException):
    """Reading was cancelled. This is no error of the source, so `except Exception` does not catch it."""


class Stop:
    """A request to stop reading, which may come at any moment and from any thread."""

    def __init__(self) -> None:
        self._requested, self._lock = threading.Event(), threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def ask(self) -> None:
        """Request the stop: wake every `sleep` and call every callback, so that a blocking call returns."""
        with self._lock:
            self._requested.set()
            for callback in self._callbacks:
                callback()

    @property
    def is_asked(self) -> bool:
        """Whether the stop was requested."""
        return self._requested.is_set()

    def check(self) -> None:
        """Raise StoppedError if the stop was requested."""
        if self._requested.is_set():
            raise StoppedError

    def sleep(self, seconds: float) -> None:
        """Wait. Raises StoppedError as soon as the stop is requested."""
        self._requested.wait(seconds)
        self.check()

    @contextmanager
    def callback(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback`, which must end what the block is doing, if the stop is requested within the block.

        Raises StoppedError if the stop was requested before or within the block.
        """
        with self._lock:
            self.check()
            self._callbacks.append(callback)
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)
            self.check()  # the interruption is no error of the source


current_stop: ContextVar[Stop] = ContextVar("current_stop")  # of the thread that reads; unset if nobody can stop it


def find_stop() -> Stop:
    """The stop request that this thread obeys; one that is never made if nobody set any."""
    return current_stop.get(None) or Stop()
