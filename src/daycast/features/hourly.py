"""From irregular readings to the hourly grid, with the history of what was believed when."""

from collections.abc import Iterable

import polars as pl

from daycast.times import HOUR
from daycast.variables import Variable

_HOUR_KEY = ["station_id", "observed_at"]
_VERSION_KEY = [*_HOUR_KEY, "known_from"]


def full_hour_after(instant: pl.Expr) -> pl.Expr:
    """The full hour at or after `instant`: the hour a reading stands for."""
    return (instant + HOUR - pl.duration(microseconds=1)).dt.truncate("1h")


def make_hourly_versions(readings: pl.DataFrame, variables: Iterable[Variable]) -> pl.DataFrame:
    """What could be believed of each station and hour, and from when until when, given all readings of those hours.

    The rule: hour h is made of the readings observed in (h - 1 h, h]. An instantaneous quantity is the last of them, a sum
    their total, a gust the highest; of several readings of one instant the last received counts, value by value, and a
    missing value erases none.
    Nothing observed after h enters, and a gap stays missing.

    readings: station_id, observed_at, received_at, row_number, a column for each variable.
    Returns station_id, observed_at (the hour), known_from, known_until (null: still believed), and the variables. The version
    known from a moment uses what was received by then; no version starts before its hour ends. The result depends on the
    readings alone, not on the order or the pieces in which they were ingested.
    """
    variables = list(variables)
    names = [variable.name for variable in variables]
    stamped = readings.select(
        "station_id",
        full_hour_after(pl.col("observed_at")).alias("hour"),
        "observed_at",
        "received_at",
        "row_number",
        *names,
    ).with_columns(pl.max_horizontal("received_at", "hour").alias("known_from"))
    lone = pl.len().over("station_id", "hour") == 1
    single = stamped.filter(lone).select("station_id", pl.col("hour").alias("observed_at"), "known_from", *names)
    several = _merge(_expand(stamped.filter(~lone)), variables)
    return _close(pl.concat([single, several]), names)


def _expand(stamped: pl.DataFrame) -> pl.DataFrame:
    """Each reading once for every version of its hour that could know it."""
    versions = stamped.select("station_id", "hour", pl.col("known_from").alias("version")).unique()
    return stamped.join(versions, on=["station_id", "hour"]).filter(pl.col("known_from") <= pl.col("version"))


def _merge(expanded: pl.DataFrame, variables: list[Variable]) -> pl.DataFrame:
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
    return pl.when(value.len() > 0).then(value.sum())


def _close(versions: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Drop versions that change nothing, and end each one where the next begins."""
    ordered = versions.sort(_VERSION_KEY)
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in names)
    kept = ordered.filter(~_same_hour_as_row(-1) | changed)
    ends = pl.when(_same_hour_as_row(+1)).then(pl.col("known_from").shift(-1)).alias("known_until")
    return kept.with_columns(ends).select(*_VERSION_KEY, "known_until", *names)


def _same_hour_as_row(offset: int) -> pl.Expr:
    """Whether the row `offset` rows further, in sorted versions, is of the same station and hour."""
    return pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(-offset)) for name in _HOUR_KEY)
