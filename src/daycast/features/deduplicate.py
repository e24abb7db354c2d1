"""Which of the delivered readings are new, and when they could first have been known."""

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
    """The readings that bring a value which differs from what was already known for their station and instant.

    readings: station_id, observed_at, received_at, row_number and a column for each of `variables`; held: the readings already
    stored for those instants, with the same columns. Rows of one receipt (same station, instant and received_at) are kept or
    dropped together. A missing value is never new. key: the columns that identify what a row is about, the instant last.

    If the source states when each row was received, a row is compared only with the same receipt: a later receipt is kept
    whatever its values. If the time of receipt is only assumed (observed_at plus a usual delay), pass `assumed_before`, the
    clock: a row is compared with the latest stored values, and a value that replaces another one gets the clock as received_at,
    because it cannot have been known earlier. So does a row of a new instant that was requested before (up to `asked_until`) and
    was not delivered then. A value where nothing was held corrects nothing: it keeps its received_at, whichever column, sensor
    or source came first. A row that holds both comes twice.
    """
    if held.is_empty() and _is_strictly_ordered(readings, key):
        return _dated(readings.with_columns(is_held=False), assumed_before, asked_until).select(readings.columns)
    stored = held.select(key).unique().with_columns(held=True)
    is_stored = readings.select(key).join(stored, on=key, how="left")["held"]
    single = ~is_repeated(readings, key) & is_stored.is_null()
    first = _dated(readings.filter(single).with_columns(is_held=False), assumed_before, asked_until)
    several = readings.filter(~single)
    different = _keep_different(several, held.join(several, on=key, how="semi"), variables, assumed_before, key)
    filling = _only_filling(different, variables) if assumed_before else different.clear()
    corrections = different.filter("replaces") if assumed_before else different
    new_readings = pl.concat([first, _dated(corrections, assumed_before, asked_until), filling], how="diagonal")
    return new_readings.select(readings.columns).sort("row_number")


def is_repeated(rows: pl.DataFrame, key: Sequence[str] = KEY) -> pl.Series:
    """Which rows are not the only ones with their key. Numbers are sorted sooner than keys are compared."""
    numbers = rows.select(pl.struct(key).hash()).to_series()
    in_order = numbers.sort()
    twice = in_order.filter(in_order == in_order.shift())
    repeated = numbers.is_in(twice.implode())
    suspects = repeated.arg_true()  # keys may have one number by chance
    return repeated.scatter(suspects, rows[suspects].select(pl.struct(key).is_duplicated()).to_series())


def _keep_different(
    readings: pl.DataFrame,
    held: pl.DataFrame,
    variables: Sequence[str],
    assumed_before: datetime | None,
    key: Sequence[str],
) -> pl.DataFrame:
    """The new ones among readings whose instant has several, or is stored already.

    Added: is_held (the instant was stored); replaces (another value, or nothing is stored); NAME_fills (where there was none).
    """
    if assumed_before is None:
        known, group = held.select(*key, "received_at", "row_number", *variables), [*key, "received_at"]
    else:
        known, group = _latest(held, variables, key), [*key]
    receipts = _merge_receipts(pl.concat([_mark(known, 0), _mark(readings, 1)], how="diagonal"), variables, key)
    before = [pl.col(name).forward_fill().shift(1).over(group).alias(f"{name}_before") for name in variables]
    fills = {f"{name}_fills": pl.col(name).is_not_null() & pl.col(f"{name}_before").is_null() for name in variables}
    replaces = pl.any_horizontal(
        (pl.col(name) != pl.col(f"{name}_before")).fill_null(value=False) for name in variables
    )
    fresh = (
        receipts.sort(*key, "new", "received_at")
        .with_columns(
            *before, first=pl.int_range(pl.len()).over(group) == 0, is_held=(pl.col("new") == 0).any().over(key)
        )
        .with_columns(replaces=replaces | ~pl.col("is_held"), **fills)
        .filter((pl.col("new") == 1) & pl.any_horizontal("first", replaces, *fills))
        .select(*key, "received_at", "is_held", "replaces", *fills)
    )
    return readings.join(fresh, on=[*key, "received_at"], how="inner")


def _only_filling(different: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """The rows that bring first values of stored instants, with nothing else."""
    values = [pl.when(f"{name}_fills").then(name).alias(name) for name in variables]
    filling = different.filter("is_held").with_columns(values)
    return filling.filter(pl.any_horizontal(pl.col(*variables).is_not_null()))


def _is_strictly_ordered(readings: pl.DataFrame, key: Sequence[str]) -> bool:
    """Whether the rows of each station stand together, in strictly ascending order of time."""
    station, observed = pl.struct(key[:-1]) if len(key) > len(KEY) else pl.col(key[0]), pl.col(key[-1])
    changes = station != station.shift()
    if not readings.select((changes | (observed > observed.shift())).all()).item():
        return False
    return bool(readings.select((changes.sum() + 1 == station.n_unique()) | (pl.len() == 0)).item())


def _dated(new_readings: pl.DataFrame, assumed_before: datetime | None, asked_until: datetime | None) -> pl.DataFrame:
    """The new readings, with the clock as received_at where they cannot have been known earlier."""
    if assumed_before is None:
        return new_readings
    received = pl.col("received_at")
    late = pl.col("is_held") if asked_until is None else pl.col("is_held") | (received <= asked_until)
    clock = pl.max_horizontal(received, pl.lit(assumed_before))
    return new_readings.with_columns(pl.when(late).then(clock).otherwise(received).alias("received_at"))


def _mark(readings: pl.DataFrame, new: int) -> pl.DataFrame:
    return readings.with_columns(pl.lit(new, pl.Int8).alias("new"))


def _latest(held: pl.DataFrame, variables: Sequence[str], key: Sequence[str]) -> pl.DataFrame:
    """One row for each stored instant: the last value of each variable, and the last received_at."""
    values = [pl.col(name).drop_nulls().last() for name in variables]
    return held.sort("received_at", "row_number").group_by(key).agg(pl.col("received_at").last(), *values)


def _merge_receipts(readings: pl.DataFrame, variables: Sequence[str], key: Sequence[str]) -> pl.DataFrame:
    """One row for each receipt: the last value of each variable."""
    keys = [*key, "new", "received_at"]
    if not readings.select(pl.struct(keys).is_duplicated().any()).item():
        return readings.select(*keys, *variables)
    values = [pl.col(name).drop_nulls().last() for name in variables]
    return readings.sort("row_number").group_by(keys, maintain_order=True).agg(values)
