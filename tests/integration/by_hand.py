"""A source that delivers what a test wrote down."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from daycast.sources.batch import SourceBatch, no_problems
from daycast.stations import STATION_SCHEMA
from daycast.variables import Variable


def by_hand(
    readings: pl.DataFrame,
    *,
    raw: pl.DataFrame | None = None,
    origin: str = "a page",
    receipt: Literal["stated", "assumed"] = "stated",
) -> SourceBatch:
    """A delivery of these readings, known by its origin and content."""
    fingerprint = hashlib.sha256(f"{origin}{readings.rows()}".encode()).hexdigest()
    came = readings if raw is None else raw
    return SourceBatch(origin, fingerprint, readings, came, no_problems(), complete=True, receipt=receipt)


@dataclass(frozen=True)
class ByHand:
    """The source: each delivery once, and no station list."""

    deliveries: tuple[SourceBatch, ...]
    name: str = "by hand"
    resumes: bool = False

    def fetch(
        self,
        since: datetime | None,  # noqa: ARG002 - the protocol's
        until: datetime,  # noqa: ARG002
        variables: Mapping[str, Variable],  # noqa: ARG002
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        yield from (delivery for delivery in self.deliveries if delivery.fingerprint not in seen)

    def stations(self) -> pl.DataFrame:
        return pl.DataFrame(schema=STATION_SCHEMA)
