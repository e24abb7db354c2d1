"""Where a table with column types says when: a timestamp with or without a zone, or whole numbers counted from 1970."""

from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from daycast.errors import SourceError
from daycast.sources.tables.calendar import within_calendar
from daycast.sources.tables.local_time import WallClock
from daycast.times import BEYOND_CALENDAR, UTC_TIME

_MICROSECONDS = {"s": 1_000_000, "ms": 1_000}


class InstantColumn(BaseModel):
    """One column of timestamps, or of whole numbers that count seconds or milliseconds since 1970 UTC (`epoch`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    epoch: Literal["s", "ms"] | None = None


def to_instants(
    times: pl.Series, epoch: Literal["s", "ms"] | None, clock: WallClock, stations: pl.Series, origin: str
) -> pl.Series:
    """The instants (UTC_TIME), null where there is none.

    Timestamps without a zone are those of `clock`, which tells about the hour that happens twice.
    Raises SourceError naming `origin`, the column and its type where that is no time.
    """
    if times.null_count() == times.len():  # databases give a column of nulls any type
        return pl.repeat(None, times.len(), dtype=UTC_TIME, eager=True)
    _validate_type(times, epoch, origin)
    stamped = _as_timestamps(within_calendar(times, epoch), epoch)
    return stamped if stamped.dtype == UTC_TIME else clock.to_utc(stamped, stations)


def why_no_instant(times: pl.Series, epoch: Literal["s", "ms"] | None, zone: str) -> pl.Series:
    """In words, why there is no instant at each of `times`; what is said of one that has an instant means nothing."""
    wall = times if isinstance(times.dtype, pl.Datetime) else pl.repeat(None, times.len(), dtype=UTC_TIME, eager=True)
    frame = pl.DataFrame(
        {
            "given": times.is_not_null(),
            "written": within_calendar(times, epoch).is_not_null(),
            "clock": writable(wall).dt.strftime("%H:%M"),
        }
    )
    return frame.select(
        pl.when(~pl.col("given")).then(pl.lit("no time"))
        .when(~pl.col("written")).then(pl.lit(BEYOND_CALENDAR))
        .otherwise(pl.format("{} does not exist in {} on that day", "clock", pl.lit(zone)))
    ).to_series()  # fmt: skip


def writable(column: pl.Series) -> pl.Series:
    """The column, null where it is a time that no calendar can write, as databases' "infinity"."""
    return within_calendar(column) if isinstance(column.dtype, pl.Datetime) else column


def time_as_text(times: pl.Series) -> pl.Series:
    """The times or counts as text; a time that no calendar can write as the number that it is kept as."""
    frame = pl.DataFrame({"written": writable(times).cast(pl.String), "kept": times.to_physical().cast(pl.String)})
    return frame.select(pl.coalesce("written", "kept")).to_series()


def _validate_type(times: pl.Series, epoch: str | None, origin: str) -> None:
    counts = times.dtype.is_integer()
    if counts if epoch else isinstance(times.dtype, pl.Datetime):
        return
    if epoch:
        wanted = f"not of the whole numbers that time.epoch = {epoch!r} announces"
    elif counts:
        wanted = 'no timestamp; if it counts seconds or milliseconds since 1970, add epoch = "s" or "ms"'
    else:
        wanted = "and a time must be a timestamp, with date and clock"
    raise SourceError(f"{origin}: column {times.name!r} is of type {times.dtype}, {wanted}")


def _as_timestamps(times: pl.Series, epoch: Literal["s", "ms"] | None) -> pl.Series:
    """In microseconds: UTC_TIME, or without a zone where the column has none."""
    if epoch:
        return (times.cast(pl.Int64) * _MICROSECONDS[epoch]).cast(UTC_TIME)
    zone = times.dtype.time_zone if isinstance(times.dtype, pl.Datetime) else None
    stamped = times.cast(pl.Datetime("us", zone))
    return stamped.dt.convert_time_zone("UTC") if zone else stamped
