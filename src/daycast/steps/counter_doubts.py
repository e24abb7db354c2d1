"""Doubts about counters and totals: amounts that nobody declared as such, and resets at other times than those declared.

Amounts without a declaration come first, then counters, then totals of a running hour.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from daycast.features.amounts import Accumulation, CalendarReset, find_resets
from daycast.features.deduplicate import KEY
from daycast.sources.batch import SourceBatch
from daycast.times import DAY, HOUR
from daycast.variables import Variable

_SAME_TIME, _LEAST_RESETS = timedelta(hours=1), 2  # of day, at which a counter is reset; how often
_NEAR_END, _LEAST_END = 0.95, 10.0  # from which share of it on a counter is near its end; the lowest end that is told
_WITHIN_AN_HOUR = timedelta(minutes=55)  # reports of every hour jitter by some minutes
# of a source, whose stations share a column: sorting all would take as long as loading them
_STATIONS, _ROWS = 20, 50_000
_LEAST_STEPS, _LEAST_RISES = 6, 2  # from one row of a station to the next, where the first is above zero
_MANY_STEPS = 24
_FEW_ROWS, _DAYS_BEFORE = 48, 10 * DAY  # of a station in a batch that tells little by itself; what is looked at then
_FALLS, _PARTIAL_FALLS = 0.2, 0.02  # shares of the steps; of rain in rows of its own nearly half are falls
_COUNTED = {
    "sum": 'set cell_method = "counter" or "running_hour" on its column, or each row is added up',
    "maximum": "map the highest value since the row before, or old gusts count again and again",
}


def find_undeclared_counters(readings: pl.DataFrame, variables: Mapping[str, Variable]) -> list[str]:
    """A doubt for each sum, or maximum, whose values only rise, stay or begin again, as a counter's or a running total's do."""
    return [
        doubt
        for variable in variables.values()
        if variable.cell_method in _COUNTED
        for doubt in _undeclared_counters(readings, variable)
    ]


def find_slow_counters(
    batches: Sequence[SourceBatch],
    variables: Mapping[str, Variable],
    read_held: Callable[[pl.DataFrame], pl.DataFrame],
) -> list[str]:
    """The same for batches of few rows: what is held of some days before them tells.

    read_held: gives the readings of the source in station_id, since, until; it is asked only if a batch may be one of a counter.
    """
    counted = {name for batch in batches for name in batch.accumulations}
    names = [name for name, one in variables.items() if one.cell_method in _COUNTED and name not in counted]
    rains = pl.any_horizontal(pl.col(names) > 0) if names else pl.lit(value=False)
    small = [
        batch.readings.select(*KEY, rains.alias("rains"))
        for batch in batches
        if batch.is_described and not batch.is_forecast
    ]
    rows = pl.concat(small).drop_nulls(KEY) if small else pl.DataFrame()
    if rows.is_empty() or not rows["rains"].any() or len(rows) > _FEW_ROWS * rows["station_id"].n_unique():
        return []
    ranges = rows.group_by("station_id", maintain_order=True).agg(until=pl.col("observed_at").max()).head(_STATIONS)
    held = read_held(ranges.with_columns(since=pl.col("until") - _DAYS_BEFORE)).sort("received_at", "row_number")
    latest = held.group_by(KEY, maintain_order=True).agg(pl.col(names).drop_nulls().last())
    return find_undeclared_counters(latest, {name: variables[name] for name in names})


def _undeclared_counters(readings: pl.DataFrame, variable: Variable) -> list[str]:
    value = pl.col(variable.name)
    known = _some(readings, variable.name)
    before = value.shift().over("station_id")
    steps = known.with_columns(before=before, since=pl.col("observed_at").shift().over("station_id")).filter(
        pl.col("before") > 0
    )
    rises, falls = steps.filter(value > pl.col("before")), steps.filter(value < pl.col("before"))
    begins_anew = falls.filter(value <= pl.col("before") / 2)
    stays = len(steps) - len(rises) - len(falls)
    lasts = 2 * stays >= len(steps) or len(steps) >= _MANY_STEPS
    few_falls = len(falls) <= _FALLS * len(steps) and len(falls) - len(begins_anew) <= _PARTIAL_FALLS * len(steps)
    if len(steps) < _LEAST_STEPS or len(rises) < _LEAST_RISES or not (lasts and few_falls):
        return []
    first = rises.row(0, named=True)
    example = (
        f"station {first['station_id']} from {first['before']:g} at {first['since']:%Y-%m-%dT%H:%MZ} to "
        f"{first[variable.name]:g} at {first['observed_at']:%Y-%m-%dT%H:%MZ}"
    )
    seen = f"it rises, stays, and falls only to begin again ({len(falls):,} falls in {len(steps):,} steps; {example})"
    return [f"{variable.name} behaves like a counter or a running total: {seen}: {_COUNTED[variable.cell_method]}"]


def find_other_resets(readings: pl.DataFrame, counters: Mapping[str, Accumulation]) -> list[str]:
    """A doubt for each counter that begins anew otherwise than is declared, or regularly though nothing is declared."""
    return [
        doubt
        for name, counter in counters.items()
        if counter.cell_method == "counter" and (counter.resets is not None or counter.rollover is None)
        for doubt in _other_resets(_some(readings, name), name, counter.resets)
    ]


def _other_resets(known: pl.DataFrame, name: str, resets: CalendarReset | None) -> list[str]:
    rows = known.select(*KEY, number=name).unique(KEY, keep="last", maintain_order=True)
    found = find_resets(rows, resets)
    if found.is_empty() or found["due"].any():
        return []
    first = found.row(0, named=True)
    at = first["observed_at"]
    example = f"station {first['station_id']}, {at:%Y-%m-%dT%H:%MZ}, from {first['before']:g} to {first['number']:g}"
    seen = f"the counter of {name} falls at {at:%H:%M} UTC, {len(found):,} times ({example})"
    if _is_daily(found) and resets is not None:
        return [
            f"{seen}, and never at the reset that resets declares in {resets.zone}: set timezone, or resets on its column"
        ]
    if _is_daily(found) and not (above := _above_at(rows, at)).is_empty():
        seen += f", and not always: {example_of(above, 'number')}"
        return [
            f'{seen}: if it begins anew each day, set resets = "daily" on its column, or the day before is taken off'
        ]
    if resets is None and (end := _end_of_counter(found)):
        seen = f"the counter of {name} falls just below {end:g} ({example})"
        way_out = "set rollover on its column, in the column's unit, or what was counted last is lost"
        return [f"{seen}: if it goes on with 0 there, {way_out}"]
    return []


def _is_daily(resets: pl.DataFrame) -> bool:
    """Whether counters were reset on several days, always at the same time of day."""
    if resets["observed_at"].dt.date().n_unique() < _LEAST_RESETS:
        return False
    apart = (pl.col("observed_at") - resets["observed_at"][0] + DAY / 2).dt.total_seconds() % DAY.total_seconds()
    return bool(resets.select(apart.max() - apart.min()).item() <= _SAME_TIME.total_seconds())


def _above_at(rows: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """The rows at this time of day at which a counter has not fallen, and may have been reset all the same."""
    before = pl.col("number").shift().over("station_id")
    is_then = pl.col("observed_at").dt.time() == moment.time()
    return rows.filter(is_then & (before > 0) & (pl.col("number") >= before))


def _end_of_counter(resets: pl.DataFrame) -> float | None:
    """The power of ten just below which all counters fell to next to nothing; None if they fell anywhere else."""
    peak = float(resets["before"].max())  # type: ignore[arg-type]
    end = 10.0 ** math.ceil(math.log10(peak)) if peak > 0 else 0.0
    near = (pl.col("before") >= _NEAR_END * end) & (pl.col("number") <= (1 - _NEAR_END) * end)
    return end if end >= _LEAST_END and resets.select(near.all()).item() else None


def find_unstated_hours(readings: pl.DataFrame, totals: Mapping[str, Accumulation]) -> list[str]:
    """A doubt for each total of a running hour, without its `reset_minute`, that began anew and was no lower for it.

    It looks as if it went on: for longer than an hour, or past the minute after which it falls.
    """
    return [
        doubt
        for name, total in totals.items()
        if total.cell_method == "running_hour" and total.reset_minute is None
        for doubt in _unstated_hours(_some(readings, name), name)
    ]


def _unstated_hours(known: pl.DataFrame, name: str) -> list[str]:
    at, value, before, earlier = (pl.col(one) for one in ("observed_at", name, "before", "earlier"))
    rows = known.unique(KEY, keep="last", maintain_order=True).with_columns(
        before=value.shift().over("station_id"), earlier=at.shift().over("station_id")
    )
    is_near = (at - earlier < _WITHIN_AN_HOUR).fill_null(value=False)
    falls = rows.filter(is_near & (value < before))
    minutes = falls["earlier"].dt.minute().mode().sort()
    minute = int(minutes[0]) if len(minutes) else None
    goes_on = is_near & (value >= before) & (before > 0)
    rows = rows.with_columns(run=(~goes_on).cum_sum())
    hidden = goes_on & (at - at.first().over("run") >= HOUR)
    if minute is not None and falls.select(_is_past(minute).all()).item():
        hidden |= goes_on & _is_past(minute)
    unclear = rows.filter(hidden)
    if unclear.is_empty():
        return []
    way_out = "set reset_minute" if minute is None else f"set reset_minute = {minute}, after which it falls,"
    seen = f"{name}, the total of a running hour, began anew and was no lower for it ({example_of(unclear, name)})"
    return [f"{seen}, so only its rise counts: {way_out} on its column"]


def _is_past(minute: int) -> pl.Expr:
    """Whether a row is in another hour, which ends with this minute, than the row before it (`earlier`)."""
    shift = pl.duration(minutes=minute, microseconds=1)
    hours = [(pl.col(name) - shift).dt.truncate("1h") for name in ("observed_at", "earlier")]
    return hours[0] != hours[1]


def _some(readings: pl.DataFrame, name: str) -> pl.DataFrame:
    """The values of one variable at some of the stations, sorted."""
    some = readings["station_id"].unique(maintain_order=True).head(_STATIONS)
    known = readings.select(*KEY, name).filter(pl.col("station_id").is_in(some.implode()))
    return known.drop_nulls(name).head(_ROWS).sort(KEY, maintain_order=True)


def example_of(rows: pl.DataFrame, name: str) -> str:
    """The first of these rows, and its value of one variable."""
    first = rows.sort("observed_at").row(0, named=True)
    return f"station {first['station_id']}, {first['observed_at']:%Y-%m-%dT%H:%MZ}, {first[name]:g}"
