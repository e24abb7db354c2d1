"""Which readings tell something not known yet, and since when it can be known."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

KEY = ["station_id", "observed_at"]


def keep_news(
    readings: pl.DataFrame,
    held: pl.DataFrame,
    variables: Sequence[str],
    assumed_before: datetime | None = None,
) -> pl.DataFrame:
    """The readings that bring a value differing from what was already known of their station and instant.

    readings: station_id, observed_at, received_at, row_number and a column for each of `variables`; held: the readings already
    stored for those instants, the same columns. Rows of one receipt (same station, instant and received_at) stand or fall
    together. A missing value is no news: it never erases one.

    Where the source states when each row was received, only the very same receipt is known already: a later one may matter,
    whatever it says. Where receipt is only assumed (observed_at plus a usual delay) pass `assumed_before`, the clock: a row is
    compared with the latest that is held, and a correction cannot have been known before that clock, so it gets it as
    received_at.
    """
    if held.is_empty() and not readings.select(pl.struct(KEY).is_duplicated().any()).item():
        return readings
    if assumed_before is None:
        known, rival = held.select(*KEY, "received_at", "row_number", *variables), [*KEY, "received_at"]
    else:
        known, rival = _latest(held, variables), KEY
    receipts = _merge_receipts(pl.concat([_mark(known, 0), _mark(readings, 1)], how="diagonal"), variables)
    before = [pl.col(name).forward_fill().shift(1).over(rival).alias(f"{name}_before") for name in variables]
    differs = pl.any_horizontal(
        pl.col(name).is_not_null() & pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in variables
    )
    fresh = (
        receipts.sort(*KEY, "new", "received_at")
        .with_columns(
            *before, first=pl.int_range(pl.len()).over(rival) == 0, is_held=(pl.col("new") == 0).any().over(KEY)
        )
        .filter((pl.col("new") == 1) & (differs | pl.col("first")))
        .select(*KEY, "received_at", "is_held")
    )
    news = readings.join(fresh, on=[*KEY, "received_at"], how="inner")
    if assumed_before is not None:
        corrected = pl.when("is_held").then(pl.max_horizontal("received_at", pl.lit(assumed_before)))
        news = news.with_columns(corrected.otherwise("received_at").alias("received_at"))
    return news.select(readings.columns).sort("row_number")


def _mark(readings: pl.DataFrame, new: int) -> pl.DataFrame:
    return readings.with_columns(pl.lit(new, pl.Int8).alias("new"))


def _latest(held: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """What is held of each instant, as one row: the last value of each variable, and when the last reading came."""
    values = [pl.col(name).drop_nulls().last() for name in variables]
    return held.sort("received_at", "row_number").group_by(KEY).agg(pl.col("received_at").last(), *values)


def _merge_receipts(readings: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """One row a receipt: of several rows, the last value of each variable."""
    keys = [*KEY, "new", "received_at"]
    if not readings.select(pl.struct(keys).is_duplicated().any()).item():
        return readings.select(*keys, *variables)
    values = [pl.col(name).drop_nulls().last() for name in variables]
    return readings.sort("row_number").group_by(keys, maintain_order=True).agg(values)
