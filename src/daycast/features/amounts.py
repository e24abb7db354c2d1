"""From numbers that are no amount since the row before (counters, totals of a running hour, rates) to amounts.

Which row is the row before is known only in the warehouse, across files and runs: so sources hand over the numbers as they are,
with an `Accumulation`, and they become amounts when they are loaded. `amounts` has the rules.
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from daycast.times import DAY, HOUR

CellMethod = Literal["counter", "running_hour", "rate"]

_INSTANT = ["station_id", "observed_at"]
_LONGEST_GAP = DAY  # a row before that is older says nothing: the counter may have been reset meanwhile
_WHOLE_HOUR = pl.duration(minutes=55)  # reports of every hour jitter by some minutes
_ROUNDING = (
    0.05  # a smaller fall within an hour, as a share of what is left, is no reset: loggers round, and convert units
)
_DECIMALS = 9  # differences of floats have dust behind these


@dataclass(frozen=True, slots=True)
class Accumulation:
    """What the numbers of a column are, in the variable's unit (a rate: in this unit per hour).

    counter: which column they come from and how it was read; numbers of different ones are never compared. rollover: where a
    counter begins again with 0 though nobody reset it. reset_minute: the last minute that belongs to a running hour's total.
    """

    counter: str
    cell_method: CellMethod
    rollover: float | None = None
    reset_minute: int | None = None


def amounts(numbers: pl.DataFrame, accumulation: Accumulation) -> pl.Series:
    """The amount since the row before, for each row; null if that cannot be known.

    numbers: station_id, observed_at, number (never null); sorted, one row for each station and instant.

    counter: the rise; after a fall, or a rollover, what was counted since. Unknown where nothing precedes within a day.
    running_hour: the rise within the hour; the number itself where it begins anew: after a fall, or an hour, or in the first row.
    rate: the rate during the time since the row before, an hour at most. Unknown where nothing precedes within a day.
    """
    rules = {"counter": _since_reset, "running_hour": _within_the_hour, "rate": _at_this_rate}
    amount = rules[accumulation.cell_method](accumulation)
    before = {"before": pl.col("number").shift(), "since": pl.col("observed_at").diff()}
    beside = numbers.with_columns(value.over("station_id").alias(name) for name, value in before.items())
    recent = pl.when(pl.col("since") <= _LONGEST_GAP).then("before")
    return beside.with_columns(before=recent).select(amount.round(_DECIMALS).alias("amount")).to_series()


def _since_reset(accumulation: Accumulation) -> pl.Expr:
    number, rise = pl.col("number"), pl.col("number") - pl.col("before")
    rounding = (-rise <= _ROUNDING * number) & (pl.col("since") <= HOUR)
    amount = pl.when(rise >= 0).then(rise).when(rounding).then(0.0)
    if accumulation.rollover is not None:
        turned = rise + accumulation.rollover
        amount = amount.when(turned.is_between(0, accumulation.rollover / 2)).then(turned)
    return pl.when(pl.col("before").is_not_null()).then(amount.otherwise(number))


def _within_the_hour(accumulation: Accumulation) -> pl.Expr:
    number, rise = pl.col("number"), pl.col("number") - pl.col("before")
    goes_on = (rise >= 0) & (pl.col("since") < _WHOLE_HOUR)
    if accumulation.reset_minute is not None:
        after_reset = pl.col("observed_at") - pl.duration(minutes=accumulation.reset_minute, microseconds=1)
        hour = after_reset.dt.truncate("1h")
        goes_on &= hour == hour.shift().over("station_id")
    return pl.when(goes_on).then(rise).otherwise(number)


def _at_this_rate(_: Accumulation) -> pl.Expr:
    hours = pl.min_horizontal(pl.col("since"), pl.lit(HOUR)).dt.total_microseconds() / (HOUR.total_seconds() * 1e6)
    return pl.when(pl.col("before").is_not_null()).then(pl.col("number") * hours)


@dataclass(frozen=True)
class Accumulated:
    """What the rows of one column became.

    rows: those given, with amounts in place of numbers. changed: rows (like those given, all other variables null) of held
    instants whose amount is another one now, because a row came that is before them; each has the `row` and batch of that row.
    numbers: `row`, station_id, observed_at, received_at, number of each instant of `rows`, to be held from now on.
    """

    rows: pl.DataFrame
    changed: pl.DataFrame
    numbers: pl.DataFrame


def accumulate(rows: pl.DataFrame, held: pl.DataFrame, variable: str, accumulation: Accumulation) -> Accumulated:
    """Turn the numbers of one column into amounts, together with the numbers held of the day before and after them.

    rows: row (unique), station_id, observed_at, received_at, and the number in `variable`; null keys or numbers give no amount.
    held: station_id, observed_at, received_at, number. Of one instant the number received last counts, then the one that came
    last.
    """
    columns = ["row", *_INSTANT, "received_at", "number"]
    arrived = rows.drop_nulls(_INSTANT).rename({variable: "number"}).drop_nulls("number").select(columns)
    known = held.sort(_INSTANT).with_columns(row=pl.lit(None, pl.UInt32))
    both = pl.concat([known.select(columns), arrived]).sort(*_INSTANT, "received_at", "row", nulls_last=False)
    latest = both.unique(_INSTANT, keep="last", maintain_order=True)
    latest = latest.with_columns(amounts(latest, accumulation))
    known = known.select(*_INSTANT, amounts(known, accumulation).alias("held_amount"))
    return Accumulated(
        rows=_with_amounts(rows, latest, variable),
        changed=_changed(rows, latest.join(known, on=_INSTANT, how="left", maintain_order="left"), variable),
        numbers=latest.drop_nulls("row").select(columns),
    )


def _with_amounts(rows: pl.DataFrame, latest: pl.DataFrame, variable: str) -> pl.DataFrame:
    """The rows with the amount of their instant where they have a number."""
    amount = pl.when(pl.col(variable).is_not_null()).then("amount").alias(variable)
    instants = latest.select(*_INSTANT, "amount")
    return rows.join(instants, on=_INSTANT, how="left", maintain_order="left").with_columns(amount).select(rows.columns)


def _changed(rows: pl.DataFrame, latest: pl.DataFrame, variable: str) -> pl.DataFrame:
    """The held instants whose amount is another one now, as rows of the row before them."""
    beside = latest.with_columns(
        cause=pl.col("row").shift().over("station_id"),
        received_at=pl.max_horizontal("received_at", pl.col("received_at").shift().over("station_id")),
    )
    differs = pl.col("amount").is_not_null() & pl.col("amount").ne_missing(pl.col("held_amount"))
    found = beside.filter(pl.col("row").is_null() & pl.col("cause").is_not_null() & differs)
    found = found.select(*_INSTANT, "received_at", pl.col("amount").alias(variable), row="cause")
    rest = rows.select(pl.exclude(found.columns, "row"), "row").filter(pl.col("row").is_in(found["row"].implode()))
    keep = ["row", "batch_id", "row_number"]
    empty = [pl.lit(None, rows.schema[name]).alias(name) for name in rest.columns if name not in keep]
    return found.join(rest.with_columns(empty), on="row", how="left").select(rows.columns)
