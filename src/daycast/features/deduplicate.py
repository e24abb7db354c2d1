"""Which readings tell something not known yet, and since when it can be known."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

KEY = ["station_id", "observed_at"]


def deduplicate(
    readings: pl.DataFrame,
    held: pl.DataFrame,
    variables: Sequence[str],
    assumed_before: datetime | None = None,
    asked_until: datetime | None = None,
    key: Sequence[str] = KEY,
) -> pl.DataFrame:
    """The readings that bring a value differing from what was already known of their station and instant.

    readings: station_id, observed_at, received_at, row_number and a column for each of `variables`; held: the readings already
    stored for those instants, the same columns. Rows of one receipt (same station, instant and received_at) stand or fall
    together. A missing value is no news: it never erases one. For rows that stand for something else than a station and instant
    pass as `key` the columns that say what, the instant last.

    Where the source states when each row was received, only the very same receipt is known already: a later one may matter,
    whatever it says. Where receipt is only assumed (observed_at plus a usual delay) pass `assumed_before`, the clock: a row is
    compared with the latest that is held, and a correction cannot have been known before that clock, so it gets it as
    received_at. So does a row that was asked for before (up to `asked_until`) and was not there then.
    """
    if held.is_empty() and _is_strictly_ordered(readings, key):
        return _dated(readings.with_columns(is_held=False), assumed_before, asked_until).select(readings.columns)
    seen_before = readings.select(key).join(held.select(key).unique().with_columns(held=True), on=key, how="left")[
        "held"
    ]
    alone = ~readings.select(pl.struct(key).is_duplicated()).to_series() & seen_before.is_null()
    first = _dated(readings.filter(alone).with_columns(is_held=False), assumed_before, asked_until)
    several = readings.filter(~alone)
    rivals = _keep_different(several, held.join(several, on=key, how="semi"), variables, assumed_before, key)
    new_readings = pl.concat([first, _dated(rivals, assumed_before, asked_until)], how="diagonal")
    return new_readings.select(readings.columns).sort("row_number")


def _keep_different(
    readings: pl.DataFrame,
    held: pl.DataFrame,
    variables: Sequence[str],
    assumed_before: datetime | None,
    key: Sequence[str],
) -> pl.DataFrame:
    """The news among readings of instants that have several, or that are held already; with `is_held`."""
    if assumed_before is None:
        known, rival = held.select(*key, "received_at", "row_number", *variables), [*key, "received_at"]
    else:
        known, rival = _latest(held, variables, key), [*key]
    receipts = _merge_receipts(pl.concat([_mark(known, 0), _mark(readings, 1)], how="diagonal"), variables, key)
    before = [pl.col(name).forward_fill().shift(1).over(rival).alias(f"{name}_before") for name in variables]
    differs = pl.any_horizontal(
        pl.col(name).is_not_null() & pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in variables
    )
    fresh = (
        receipts.sort(*key, "new", "received_at")
        .with_columns(
            *before, first=pl.int_range(pl.len()).over(rival) == 0, is_held=(pl.col("new") == 0).any().over(key)
        )
        .filter((pl.col("new") == 1) & (differs | pl.col("first")))
        .select(*key, "received_at", "is_held")
    )
    return readings.join(fresh, on=[*key, "received_at"], how="inner")


def _is_strictly_ordered(readings: pl.DataFrame, key: Sequence[str]) -> bool:
    """Whether each row is of a later instant than the one before, or of another station, each station in one run."""
    station, observed = pl.struct(key[:-1]) if len(key) > len(KEY) else pl.col(key[0]), pl.col(key[-1])
    changes = station != station.shift()
    if not readings.select((changes | (observed > observed.shift())).all()).item():
        return False
    return bool(readings.select((changes.sum() + 1 == station.n_unique()) | (pl.len() == 0)).item())


def _dated(new_readings: pl.DataFrame, assumed_before: datetime | None, asked_until: datetime | None) -> pl.DataFrame:
    """The news, with the clock as receipt where it cannot have been known earlier."""
    if assumed_before is None:
        return new_readings
    received = pl.col("received_at")
    late = pl.col("is_held") if asked_until is None else pl.col("is_held") | (received <= asked_until)
    clock = pl.max_horizontal(received, pl.lit(assumed_before))
    return new_readings.with_columns(pl.when(late).then(clock).otherwise(received).alias("received_at"))


def _mark(readings: pl.DataFrame, new: int) -> pl.DataFrame:
    return readings.with_columns(pl.lit(new, pl.Int8).alias("new"))


def _latest(held: pl.DataFrame, variables: Sequence[str], key: Sequence[str]) -> pl.DataFrame:
    """What is held of each instant, as one row: the last value of each variable, and when the last reading came."""
    values = [pl.col(name).drop_nulls().last() for name in variables]
    return held.sort("received_at", "row_number").group_by(key).agg(pl.col("received_at").last(), *values)


def _merge_receipts(readings: pl.DataFrame, variables: Sequence[str], key: Sequence[str]) -> pl.DataFrame:
    """One row a receipt: of several rows, the last value of each variable."""
    keys = [*key, "new", "received_at"]
    if not readings.select(pl.struct(keys).is_duplicated().any()).item():
        return readings.select(*keys, *variables)
    values = [pl.col(name).drop_nulls().last() for name in variables]
    return readings.sort("row_number").group_by(keys, maintain_order=True).agg(values)
