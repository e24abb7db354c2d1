"""From numbers that are no amount since the row before (counters, totals of a running hour, rates) to amounts.

Which row is the row before is known only in the warehouse, across files and runs: so sources hand over the numbers as they are,
with an `Accumulation`, and they become amounts when they are loaded. `amounts` has the rules.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from daycast.times import DAY, HOUR

CellMethod = Literal["counter", "running_hour", "rate"]

_INSTANT = ["station_id", "observed_at"]
_LONGEST_GAP = DAY  # a row before that is older says nothing: the counter may have been reset meanwhile
_PEAK_WITHIN = "1d"  # a total that falls for days, as of a gauge that evaporates, rises from where it is
_WHOLE_HOUR = pl.duration(minutes=55)  # reports of every hour jitter by some minutes
_JITTER = 0.2  # the share of a total that it may lose within an hour and not be reset; in n hours an n-th of it
_LATE_RESET = timedelta(minutes=10)  # that the clock of a counter may be behind
_DECIMALS = 9  # differences of floats have dust behind these


@dataclass(frozen=True, slots=True)
class CalendarReset:
    """When a counter begins anew: `every` "1d", "1mo" or "1y", `at` after the beginning of that day, by the clocks of `zone`.

    zone: an IANA name, or a fixed offset from UTC such as +02:00.
    """

    every: str
    at: timedelta
    zone: str

    def begins(self, wall: pl.Expr) -> pl.Expr:
        """When the count began that is going on at this local time."""
        return (wall - self.at).dt.truncate(self.every) + self.at

    def wall(self, instant: pl.Expr) -> pl.Expr:
        """The local time of an instant (UTC_TIME)."""
        if self.zone[:1] in {"+", "-"}:
            east = datetime.fromisoformat(f"2000-01-01T00:00:00{self.zone}").utcoffset() or timedelta()
            return instant.dt.replace_time_zone(None) + east
        return instant.dt.convert_time_zone(self.zone).dt.replace_time_zone(None)


@dataclass(frozen=True, slots=True)
class Accumulation:
    """What the numbers of a column are, in the variable's unit (a rate: in this unit per hour).

    counter: which column they come from and how it was read; numbers of different ones are never compared. rollover: where a
    counter begins again with 0 though nobody reset it. resets: when it does by the calendar; None: whenever it falls.
    reset_minute: the last minute that belongs to a running hour's total.
    """

    counter: str
    cell_method: CellMethod
    rollover: float | None = None
    reset_minute: int | None = None
    resets: CalendarReset | None = None


def amounts(numbers: pl.DataFrame, accumulation: Accumulation) -> pl.Series:
    """The amount since the row before, for each row; null if that cannot be known.

    numbers: station_id, observed_at, number (never null); sorted, one row for each station and instant.

    counter: the rise above the highest total of the day before, since the last reset; what was counted since, after a reset or a
    rollover. A total that loses little jitters, and was not reset (`_JITTER`). Unknown where nothing precedes within a day.
    running_hour: the rise within the hour; the number itself where it begins anew: after a fall, or an hour, or in the first row.
    rate: the rate during the time since the row before, an hour at most. Unknown where nothing precedes within a day.
    """
    rules: Mapping[CellMethod, Callable[[pl.DataFrame, Accumulation], pl.Series | pl.Expr]]
    rules = {"counter": _count, "running_hour": _within_the_hour, "rate": _at_this_rate}
    before = {"before": pl.col("number").shift(), "since": pl.col("observed_at").diff()}
    beside = numbers.with_columns(value.over("station_id").alias(name) for name, value in before.items())
    recent = beside.with_columns(before=pl.when(pl.col("since") <= _LONGEST_GAP).then("before"))
    amount = rules[accumulation.cell_method](recent, accumulation)
    return recent.select(amount.round(_DECIMALS).alias("amount")).to_series()


def _count(numbers: pl.DataFrame, accumulation: Accumulation) -> pl.Series:
    """The rises of a counter. Rows between two resets are a count; `level` goes on rising where it rolls over."""
    number, before = pl.col("number"), pl.col("before")
    hours = pl.col("since").dt.total_seconds() / HOUR.total_seconds()
    jitters = (before - number) * pl.max_horizontal(hours, 1.0) <= _JITTER * before
    told = numbers.with_columns(falls=((number < before) & ~jitters).fill_null(value=False), rolls=False)
    if accumulation.rollover is not None:
        turned = number + accumulation.rollover - before
        rolls = pl.col("falls") & turned.is_between(0, accumulation.rollover / 2)
        told = told.with_columns(rolls=rolls, falls=pl.col("falls") & ~rolls)
    begins, known = pl.col("falls"), pl.lit(value=False)
    if accumulation.resets is not None:
        told = _by_the_calendar(told, accumulation.resets)
        begins, known = begins | pl.col("begins"), pl.col("known")
    told = told.with_columns(
        begins=begins,
        known=known,
        count=(begins | before.is_null()).cum_sum().over("station_id"),
        level=number + pl.col("rolls").cum_sum().over("station_id") * (accumulation.rollover or 0.0),
    )
    level = pl.col("level")
    peak = level.shift().over("station_id")
    if told.select(((level < peak) & ~pl.col("begins")).any()).item():
        peak = level.rolling_max_by("observed_at", _PEAK_WITHIN, closed="left").over("station_id", "count")
    return told.select(
        pl.when(before.is_null()).then(pl.when("known").then(number))
        .when("begins").then(number)
        .otherwise((level - peak).clip(lower_bound=0.0))
    ).to_series()  # fmt: skip


def _by_the_calendar(numbers: pl.DataFrame, resets: CalendarReset) -> pl.DataFrame:
    """With `begins`: whether a row is the first of a new count; `known`: whether its total is known to be of the last hour.

    A row on the very instant of a reset shows what was counted before, unless it has fallen. So does one whose total has hardly
    changed within some minutes after it: the clock of the counter is late.
    """
    number, before, wall, past = (pl.col(name) for name in ("number", "before", "wall", "past"))
    tick = timedelta(microseconds=1)
    told = numbers.with_columns(
        wall=resets.wall(pl.col("observed_at") - tick) + tick
    )  # not 01:00 where 00:00 is skipped
    told = told.with_columns(past=wall - resets.begins(wall))
    hardly_changed = ((number - before).abs() <= _JITTER * before).fill_null(value=False)
    is_late = ~pl.col("falls") & ((past == pl.duration()) | ((past <= _LATE_RESET) & hardly_changed))
    told = told.with_columns(day=resets.begins(pl.when(is_late).then(wall - _LATE_RESET - tick).otherwise(wall)))
    begins = pl.col("day") > pl.col("day").cum_max().shift().over("station_id")  # a clock set back begins nothing
    return told.with_columns(begins=begins.fill_null(value=False), known=(past > _LATE_RESET) & (past <= HOUR))


def _within_the_hour(_: pl.DataFrame, accumulation: Accumulation) -> pl.Expr:
    number, rise = pl.col("number"), pl.col("number") - pl.col("before")
    goes_on = (rise >= 0) & (pl.col("since") < _WHOLE_HOUR)
    if accumulation.reset_minute is not None:
        after_reset = pl.col("observed_at") - pl.duration(minutes=accumulation.reset_minute, microseconds=1)
        hour = after_reset.dt.truncate("1h")
        goes_on &= hour == hour.shift().over("station_id")
    return pl.when(goes_on).then(rise).otherwise(number)


def _at_this_rate(_: pl.DataFrame, __: Accumulation) -> pl.Expr:
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
    """The held instants whose amount is another one now, as rows of the last row that came before them."""
    arrived = pl.when(pl.col("row").is_not_null()).then("received_at").forward_fill()
    beside = latest.with_columns(
        cause=pl.col("row").forward_fill().over("station_id"),
        received_at=pl.max_horizontal("received_at", arrived.over("station_id")),
    )
    differs = pl.col("amount").is_not_null() & pl.col("amount").ne_missing(pl.col("held_amount"))
    found = beside.filter(pl.col("row").is_null() & pl.col("cause").is_not_null() & differs)
    found = found.select(*_INSTANT, "received_at", pl.col("amount").alias(variable), row="cause")
    rest = rows.select(pl.exclude(found.columns, "row"), "row").filter(pl.col("row").is_in(found["row"].implode()))
    keep = ["row", "batch_id", "row_number"]
    empty = [pl.lit(None, rows.schema[name]).alias(name) for name in rest.columns if name not in keep]
    return found.join(rest.with_columns(empty), on="row", how="left").select(rows.columns)
