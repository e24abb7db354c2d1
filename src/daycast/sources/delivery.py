"""What every source hands over: deliveries of raw readings, and the protocol it does so by."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

import polars as pl

from daycast.times import UTC_TIME
from daycast.variables import Variable

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
class Delivery:
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
    ) -> Iterator[Delivery]:
        """Yield what was received in (since, until], in pieces; `since` None means from the very first.

        `variables` is the network's glossary: built-in and declared variables by name. Pieces whose fingerprint is in
        `seen` were ingested complete and need not be read again.
        Raises SourceError naming the file and the value that cannot be read: before the first piece where nothing can be
        read, else after the last, so that a bad piece keeps no good one back.
        """

    def stations(self) -> pl.DataFrame:
        """The station list (daycast.stations.STATION_SCHEMA), one row a station; empty if the source has none."""
