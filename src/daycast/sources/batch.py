"""How reading a source is stopped from outside, in the middle of a download."""

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import polars as pl

from daycast.times import UTC_TIME
from daycast.variables import Variable

# What every source hands over: deliveries of raw readings, and the protocol it does so by.


READING_KEYS: dict[str, pl.DataType] = {
    "station_id": pl.String(),
    "observed_at": UTC_TIME,  # the instant the sensor stamped; null where it could not be read
    "received_at": UTC_TIME,  # when we could first have known it; null where observed_at is
}
ISSUE_KEYS: dict[str, pl.DataType] = {  # of a row of somebody else's forecast
    "station_id": pl.String(),
    "issued_at": UTC_TIME,  # when it was made; null where it could not be read, as the times below
    "valid_at": UTC_TIME,  # the full hour it speaks of
    "received_at": UTC_TIME,  # when we could first have known it
}
PROBLEM_SCHEMA: dict[str, pl.DataType] = {
    "row_number": pl.UInt32(),  # index into Delivery.readings, from 0
    "column": pl.String(),  # as the source names it
    "value": pl.String(),  # as it came
    "reason": pl.String(),  # what is wrong with it, in words
}


def no_problems() -> pl.DataFrame:
    """An empty frame of problems."""
    return pl.DataFrame(schema=PROBLEM_SCHEMA)


def nothing_to_do() -> None:
    """What most deliveries want done after they were taken in."""


@dataclass(frozen=True)
class SourceBatch:
    """One piece of a source, in full or up to the moment asked for: a file, a page, a span of time.

    `readings` has READING_KEYS and a Float64 column for each variable, null where missing, in daycast's units; where they are
    not readings but somebody else's forecast, ISSUE_KEYS in their place.
    `raw` has the same rows in the same order as they came (any columns); a refused row is kept in this form.
    `problems` (PROBLEM_SCHEMA) names what could not be read; those rows are refused whatever else they hold.
    `fingerprint` identifies the content and how it was read: an equal one, delivered complete, brings nothing new.
    `complete` is False where rows received after the moment asked for were held back.
    `receipt` says whether received_at is "stated" by the source or "assumed" (observed_at, or issued_at, plus a usual delay); an
    assumed one is replaced by the clock where the row corrects what an earlier delivery brought.
    `waiting` counts rows held back because they are stamped later than the moment asked for.
    `finish` is called once the delivery was committed, so that a file can be moved away.
    """

    origin: str
    fingerprint: str
    readings: pl.DataFrame
    raw: pl.DataFrame
    problems: pl.DataFrame
    complete: bool
    receipt: Literal["stated", "assumed"] = "stated"
    waiting: int = 0
    finish: Callable[[], None] = nothing_to_do

    @property
    def is_forecast(self) -> bool:
        """Whether the rows are somebody else's forecast."""
        return "issued_at" in self.readings.columns


class Source(Protocol):
    """Where readings come from. A new kind is one file with one class that does this, and one test."""

    @property
    def name(self) -> str:
        """The name given in the configuration."""

    @property
    def resumes(self) -> bool:
        """Whether it answers for a span of time, so that each fetch goes on where the last one ended."""

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield what was received in (since, until], in pieces; `since` None means from the very first.

        `variables` is the network's glossary: built-in and declared variables by name. Pieces whose fingerprint is in
        `seen` were ingested complete and need not be read again.
        Raises SourceError naming the file and the value that cannot be read: before the first piece where nothing can be
        read, else after the last, so that a bad piece keeps no good one back.
        """

    def stations(self) -> pl.DataFrame:
        """The station list (daycast.stations.STATION_SCHEMA), one row a station; empty if the source has none."""


# What tells one piece of a source from any other: its content, and how it is read.


def fingerprint(content: bytes | Iterable[bytes], reading: dict[str, Any]) -> str:
    """SHA-256 [hexadecimal] of the content, whole or in blocks, and of all that decides how it is read.

    reading: must be fit for JSON.
    """
    digest = hashlib.sha256(json.dumps(reading, sort_keys=True).encode())
    for block in [content] if isinstance(content, bytes) else content:
        digest.update(block)
    return digest.hexdigest()


class StoppedError(BaseException):
    """Whoever wanted to read has left. No error of the source: it passes by all who handle those."""


class Stop:
    """A wish that may come at any moment, from any thread."""

    def __init__(self) -> None:
        self._came, self._lock = threading.Event(), threading.Lock()
        self._cuts: list[Callable[[], None]] = []

    def ask(self) -> None:
        """Have the reading end: what waits wakes, what is being asked is cut off."""
        with self._lock:
            self._came.set()
            for cut in self._cuts:
                cut()

    @property
    def is_asked(self) -> bool:
        """Whether it has come."""
        return self._came.is_set()

    def check(self) -> None:
        """Raise StoppedError if it has come."""
        if self._came.is_set():
            raise StoppedError

    def sleep(self, seconds: float) -> None:
        """Wait. Raises StoppedError once it comes."""
        self._came.wait(seconds)
        self.check()

    @contextmanager
    def cutting(self, cut: Callable[[], None]) -> Iterator[None]:
        """Call `cut` if it comes within the block. Raises StoppedError where it has come already."""
        with self._lock:
            self.check()
            self._cuts.append(cut)
        try:
            yield
        finally:
            with self._lock:
                self._cuts.remove(cut)
            self.check()  # what fails of the cut is no error of the source


current_stop: ContextVar[Stop] = ContextVar("current_stop")  # of the thread that reads; unset where nobody stops it


def find_stop() -> Stop:
    """The wish that this thread listens to; one that never comes where nobody set any."""
    return current_stop.get(None) or Stop()
