"""From the wall clock of a place to UTC, through the two nights a year that make it hard."""

from datetime import datetime
from zoneinfo import available_timezones

import polars as pl

from daycast.sources.nearest import did_you_mean


def validate_timezone(name: str) -> str:
    """Return `name` if polars knows the zone; raise ValueError with close matches if not."""
    try:
        pl.Series([datetime(2000, 1, 1)]).dt.replace_time_zone(name)  # noqa: DTZ001 wall time is meant
    except pl.exceptions.PolarsError:
        matches = did_you_mean(name, available_timezones())
        raise ValueError(f"{name!r} is no time zone{matches}: write an IANA name, for example Europe/Berlin") from None
    return name


def local_to_utc(wall: pl.Expr, zone: str, station: pl.Expr) -> pl.Expr:
    """The instants [UTC] of naive times `wall` at `zone`; null where the clock skipped that time.

    When the clock is set back, the times of an hour happen twice. The first row of a station with such a time is the
    earlier instant, any further row with it the later one: rows must stand in the order they were measured.
    """
    if zone == "UTC":
        return wall.dt.replace_time_zone("UTC")
    earlier, later = (
        wall.dt.replace_time_zone(zone, ambiguous=which, non_existent="null").dt.convert_time_zone("UTC")
        for which in ("earliest", "latest")
    )
    came_before = ~pl.struct(station.alias("station"), wall.alias("wall")).is_first_distinct()
    return pl.when((earlier != later) & came_before).then(later).otherwise(earlier)
