"""The time of a GHCNh report: a date in ISO 8601, or in files of all years its parts, always UTC."""

import polars as pl

from daycast.sources.noaa.station_year import instant

TIME_COLUMNS = ("date", "year", "month", "day", "hour", "minute")


def written_time() -> pl.Expr:
    """The time as it is written."""
    parts = pl.concat_str(TIME_COLUMNS[1:], separator=" ", ignore_nulls=True)
    return pl.coalesce("date", parts)


def observed_at() -> pl.Expr:
    """The instant (UTC_TIME) under the name "observed_at", null where the columns tell none."""
    from_date = instant(pl.col("date").str.strip_suffix("Z"), "%Y-%m-%dT%H:%M:%S")
    parts = pl.concat_str(TIME_COLUMNS[1:], separator=" ")
    return pl.coalesce(from_date, instant(parts, "%Y %m %d %H %M")).alias("observed_at")
