"""From irregular readings to the hourly grid: one value per station and hour, with the versions believed over time."""

from collections.abc import Iterable

import polars as pl

from daycast.times import HOUR
from daycast.variables import Variable

_HOUR_KEY = ["station_id", "observed_at"]
_VERSION_KEY = [*_HOUR_KEY, "known_from"]


def full_hour_after(instant: pl.Expr) -> pl.Expr:
    """The full hour at or after `instant`, which is the hour that a reading counts for."""
    return (instant + HOUR - pl.duration(microseconds=1)).dt.truncate("1h")


def is_just_past_the_hour(instant: pl.Expr, tolerance: pl.Expr) -> pl.Expr:
    """Whether `instant` is later than a full hour, by at most `tolerance`: such a reading counts for that hour."""
    past = instant - instant.dt.truncate("1h")
    return (past > pl.duration()) & (past <= tolerance)


def make_hourly_versions(readings: pl.DataFrame, variables: Iterable[Variable]) -> pl.DataFrame:
    """The versions of each station's hourly values that could be believed over time, from all readings of those hours.

    Hour h uses the readings observed in (h - 1 h, h]: the last one (cell method point), their sum, their mean, or their maximum.
    Of several readings of one instant the one received last counts, for each variable separately; a missing value never replaces
    a value. A gap stays missing.

    readings: station_id, observed_at, received_at, row_number, and a column for each variable; and `tolerance_s`, if a reading
    may be stamped that long after the full hour that it counts for.
    Returns station_id, observed_at (the hour), known_from, known_until (null: still believed), and the variables. A version uses
    what was received by its known_from, and starts no earlier than its hour ends. The result depends on the readings alone, not
    on the order or the pieces in which they were ingested.
    """
    variables = list(variables)
    names = [variable.name for variable in variables]
    tolerance_s = pl.col("tolerance_s") if "tolerance_s" in readings.columns else pl.lit(0.0)
    tolerance = pl.duration(microseconds=(tolerance_s * 1e6).cast(pl.Int64))
    stamped = readings.select(
        "station_id",
        full_hour_after(pl.col("observed_at") - tolerance).alias("hour"),
        "observed_at",
        "received_at",
        "row_number",
        *names,
    ).with_columns(pl.max_horizontal("received_at", "hour").alias("known_from"))
    single = pl.len().over("station_id", "hour") == 1
    ready = stamped.filter(single).select("station_id", pl.col("hour").alias("observed_at"), "known_from", *names)
    several = _merge(_expand(stamped.filter(~single)), variables)
    return _close(pl.concat([ready, several]), names)


def _expand(stamped: pl.DataFrame) -> pl.DataFrame:
    """Repeat each reading for every version of its hour that could know it."""
    versions = stamped.select("station_id", "hour", pl.col("known_from").alias("version")).unique()
    return stamped.join(versions, on=["station_id", "hour"]).filter(pl.col("known_from") <= pl.col("version"))


def _merge(expanded: pl.DataFrame, variables: list[Variable]) -> pl.DataFrame:
    """Aggregate the readings of each version: first those of one instant, then the instants of the hour."""
    hour = ["station_id", "hour", "version"]
    last = [pl.col(variable.name).drop_nulls().last() for variable in variables]
    instants = expanded.sort("observed_at", "received_at", "row_number").group_by(
        *hour, "observed_at", maintain_order=True
    )
    hours = instants.agg(last).group_by(hour, maintain_order=True).agg(_cell_method(variable) for variable in variables)
    return hours.rename({"hour": "observed_at", "version": "known_from"})


def _cell_method(variable: Variable) -> pl.Expr:
    value = pl.col(variable.name).drop_nulls()
    if variable.cell_method == "point":
        return value.last()
    if variable.cell_method == "maximum":
        return value.max()
    if variable.cell_method == "mean":
        return value.mean()
    return pl.when(value.len() > 0).then(value.sum())


def _close(versions: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Drop versions that change nothing, and end each version where the next one starts."""
    ordered = versions.sort(_VERSION_KEY)
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in names)
    kept = ordered.filter(~_same_hour_as_row(-1) | changed)
    ends = pl.when(_same_hour_as_row(+1)).then(pl.col("known_from").shift(-1)).alias("known_until")
    return kept.with_columns(ends).select(*_VERSION_KEY, "known_until", *names)


def _same_hour_as_row(offset: int) -> pl.Expr:
    """Whether the row `offset` rows further, in sorted versions, has the same station and hour."""
    return pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(-offset)) for name in _HOUR_KEY)
