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
_EARLY_RESET = timedelta(minutes=20)  # that it may be ahead
_TICKS = 2.1  # that a counter may lose and not be reset: two, and the dust of floats
_LEAST_NUMBERS = 3  # that tell the tick of a counter
_ODD_TICKS, _ODD_SHARE = (
    10,
    0.05,
)  # by which a number is above both beside it to be odd: ticks, or the share of the total
_NEAR, _MEANWHILE = 0.2, 0.1  # shares of a total: how near to it a number is back, and what may have fallen meanwhile
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
    rollover. A total that loses little jitters, and was not reset (`_JITTER`, `_TICKS`). Unknown where nothing precedes within a
    day. A number that drops out, or jumps up, and is back in the next row is passed over: 0, or unknown if it jumped up.
    running_hour: the rise within the hour; the number itself where it begins anew: after a fall, or an hour, or in the first row.
    rate: the rate during the time since the row before, an hour at most. Unknown where nothing precedes within a day.
    """
    rules: Mapping[CellMethod, Callable[[pl.DataFrame, Accumulation], pl.Series | pl.Expr]]
    rules = {"counter": _count, "running_hour": _within_the_hour, "rate": _at_this_rate}
    beside = _beside(numbers)
    amount = rules[accumulation.cell_method](beside, accumulation)
    return beside.select(amount.round(_DECIMALS).alias("amount")).to_series()


def _beside(numbers: pl.DataFrame) -> pl.DataFrame:
    """With `since`, the time since the row before, and `before`, its number; null if that is older than a day."""
    before = {"before": pl.col("number").shift(), "since": pl.col("observed_at").diff()}
    beside = numbers.with_columns(value.over("station_id").alias(name) for name, value in before.items())
    return beside.with_columns(before=pl.when(pl.col("since") <= _LONGEST_GAP).then("before"))


def _count(numbers: pl.DataFrame, accumulation: Accumulation) -> pl.Series:
    """The rises of a counter, without the rows whose numbers are odd."""
    if not numbers.select((pl.col("number") < pl.col("before")).any()).item():
        return _rises(numbers.with_columns(falls=False), accumulation)
    told, sound = _sound(numbers, accumulation.resets)
    if len(sound) == len(told):
        return _rises(sound, accumulation)
    amount = sound.select(*_INSTANT, _rises(sound, accumulation).alias("amount"))
    told = told.join(amount, on=_INSTANT, how="left", maintain_order="left")
    return told.select(pl.when("low").then(0.0).otherwise("amount")).to_series()


def find_resets(numbers: pl.DataFrame, resets: CalendarReset | None) -> pl.DataFrame:
    """The rows of counters, as `amounts` takes them, before which they were reset, whatever is declared.

    Returns station_id, observed_at, before, number, due: whether the declared reset lies between the row and the one before.
    """
    _, sound = _sound(_beside(numbers), resets)
    return sound.filter("falls").select(*_INSTANT, "before", "number", "due")


def _sound(numbers: pl.DataFrame, resets: CalendarReset | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All rows, and those that are not odd, with what `_changes` says of them."""
    told = _with_changes(numbers, resets)
    is_odd = told["low"] | told["high"]
    return told, _with_changes(_beside(told.filter(~is_odd).select(numbers.columns)), resets) if is_odd.any() else told


def _with_changes(numbers: pl.DataFrame, resets: CalendarReset | None) -> pl.DataFrame:
    numbered = numbers.with_row_index("index")
    told = numbered.join(_changes(numbered, resets), on="index", how="left", maintain_order="left")
    low = pl.col("low").forward_fill()  # as long as the number stays
    return told.with_columns(pl.col("falls", "due", "high").fill_null(value=False), low=low).drop("index")


def _changes(numbered: pl.DataFrame, resets: CalendarReset | None) -> pl.DataFrame:
    """The rows of counters whose numbers differ from the ones before. Counters mostly stay, so these are few.

    Returns index; falls: whether the total is so much lower that the counter was reset; due: whether a declared reset is due; and
    whether the number is odd: `low` if it drops out, `high` if it jumps up, and the next is about the one before again.
    """
    number, before = pl.col("number"), pl.col("before")
    changes = numbered.filter(number.ne_missing(before))
    distinct = pl.col("number").round(6).unique().sort()
    smallest = pl.when(distinct.len() >= _LEAST_NUMBERS).then(distinct.diff().min()).otherwise(0.0)
    ticks = changes.group_by("station_id").agg(tick=smallest)
    changes = changes.join(ticks, on="station_id", how="left", maintain_order="left")
    changes = changes.with_columns(due=pl.lit(value=False) if resets is None else _is_due(resets))
    changes = changes.with_columns(falls=_falls(is_declared=resets is not None).fill_null(value=False))
    return _with_odd(changes, is_declared=resets is not None).select("index", "falls", "due", "low", "high")


def _falls(*, is_declared: bool) -> pl.Expr:
    """Whether a total is so much lower that the counter was reset.

    A loss of a tick or two is jitter where no declared reset is due; without a declaration, where more than half is left.
    """
    number, before = pl.col("number"), pl.col("before")
    hours = pl.col("since").dt.total_seconds() / HOUR.total_seconds()
    jitters = (before - number) * pl.max_horizontal(hours, 1.0) <= _JITTER * before
    no_reset = ~pl.col("due") if is_declared else number > before / 2
    return (number < before) & ~(jitters | ((before - number <= _TICKS * pl.col("tick")) & no_reset))


def _is_due(resets: CalendarReset) -> pl.Expr:
    """Whether a reset lies between the row before and this one, if the counter's clock may be some minutes behind or ahead."""
    at, since = pl.col("observed_at"), pl.col("since")
    begins = [resets.begins(resets.wall(one)) for one in (at - since - _EARLY_RESET, at + _EARLY_RESET)]
    return (begins[0] < begins[1]).fill_null(value=False)


def _with_odd(changes: pl.DataFrame, *, is_declared: bool) -> pl.DataFrame:
    """With `low` and `high`. A low number may stay for an hour.

    Where a reset is due nothing is odd: the total may rise as far once more.
    """
    number, before, few = pl.col("number"), pl.col("before"), _TICKS * pl.col("tick")
    after, lasts = number.shift(-1), pl.col("observed_at").shift(-1) - pl.col("observed_at")
    near = pl.min_horizontal(few, _NEAR * before)
    is_back = after.is_between(before - near, before * (1 + _MEANWHILE) + near)
    is_back &= pl.col("station_id") == pl.col("station_id").shift(-1)
    in_next_row = (pl.col("index").shift(-1) == pl.col("index") + 1) & (lasts <= _LONGEST_GAP)
    low = pl.col("falls") & ~pl.col("due") & is_back & (in_next_row | ((lasts <= HOUR) & (before > few)))
    leap = number - pl.max_horizontal(before, after)
    leaps = leap > pl.max_horizontal(_ODD_TICKS * pl.col("tick"), _ODD_SHARE * before)
    may_be_reset = pl.col("due").shift(-1) if is_declared else before <= few
    changes = changes.with_columns(low=low.fill_null(value=False))
    high = leaps & is_back & in_next_row & ~may_be_reset & ~pl.col("low").shift(fill_value=False)
    return changes.with_columns(high=high.fill_null(value=False))


def _rises(numbers: pl.DataFrame, accumulation: Accumulation) -> pl.Series:
    """The rises of a counter that is lower where it `falls` only. Rows between two resets are a count.

    `level` goes on rising where the counter rolls over.
    """
    number, before = pl.col("number"), pl.col("before")
    told = numbers.with_columns(rolls=False)
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
    changed within some minutes after it: the clock of the counter is late. One that falls some minutes before a reset is the
    first of the new count, and nothing begins at the reset itself: the clock is early.
    """
    number, before, wall, past = (pl.col(name) for name in ("number", "before", "wall", "past"))
    tick = timedelta(microseconds=1)
    told = numbers.with_columns(
        wall=resets.wall(pl.col("observed_at") - tick) + tick
    )  # not 01:00 where 00:00 is skipped
    told = told.with_columns(past=wall - resets.begins(wall))
    hardly_changed = ((number - before).abs() <= _JITTER * before).fill_null(value=False)
    is_late = ~pl.col("falls") & ((past == pl.duration()) | ((past <= _LATE_RESET) & hardly_changed))
    counted = pl.when(is_late).then(wall - _LATE_RESET - tick).when("falls").then(wall + _EARLY_RESET).otherwise(wall)
    told = told.with_columns(day=resets.begins(counted))
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
    instants whose amount is another one now, because of a row before or after them that came; each has its `row` and batch.
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
    """The held instants whose amount is another one now, as rows of the last row that came before them, or the next after."""
    arrived = pl.when(pl.col("row").is_not_null()).then("received_at")
    beside = latest.with_columns(
        cause=pl.col("row").forward_fill().backward_fill().over("station_id"),
        received_at=pl.max_horizontal("received_at", arrived.forward_fill().backward_fill().over("station_id")),
    )
    jumped_up = pl.col("amount").is_null() & pl.col("held_amount").is_not_null()
    beside = beside.with_columns(amount=pl.when(jumped_up).then(0.0).otherwise("amount"))  # nulls take nothing back
    differs = pl.col("amount").is_not_null() & pl.col("amount").ne_missing(pl.col("held_amount"))
    found = beside.filter(pl.col("row").is_null() & pl.col("cause").is_not_null() & differs)
    found = found.select(*_INSTANT, "received_at", pl.col("amount").alias(variable), row="cause")
    rest = rows.select(pl.exclude(found.columns, "row"), "row").filter(pl.col("row").is_in(found["row"].implode()))
    keep = ["row", "batch_id", "row_number"]
    empty = [pl.lit(None, rows.schema[name]).alias(name) for name in rest.columns if name not in keep]
    return found.join(rest.with_columns(empty), on="row", how="left").select(rows.columns)
