"""The years that a time may have: no observation is older, and no calendar here reckons with later ones.

.NET's empty date is in the year 1, the "infinity" of databases in the year 294247; Python and time zones fail at such times.
"""

from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from daycast.times import FIRST_TIME, LAST_TIME

_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000}  # in a second; nanoseconds end in 2262 and need no bounds


def within_calendar(times: pl.Series, epoch: Literal["s", "ms"] | None = None) -> pl.Series:
    """Times, with or without a zone, or whole numbers that count since 1970; null where they are of other years."""
    ticks = _TICKS.get(times.dtype.time_unit if isinstance(times.dtype, pl.Datetime) else epoch or "")
    if ticks is None:
        return times
    counts = times.to_physical().cast(pl.Int64, strict=False)
    first, last = (int(each.timestamp()) * ticks for each in (FIRST_TIME, LAST_TIME))
    inside = counts.is_between(first, last)
    return times.to_frame("time").select(pl.when(inside).then("time").alias(times.name)).to_series()


def earlier(moment: datetime, *spans: timedelta) -> datetime:
    """The moment so long before `moment`; FIRST_TIME where that would be earlier still."""
    for span in spans:
        moment = moment - span if moment - FIRST_TIME > span else FIRST_TIME
    return moment
