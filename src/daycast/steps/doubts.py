"""Doubts: what is odd about rows that can be read, so that ingest and doctor point at it. Nothing is changed or held back.

A doubt is one line: what was seen with an example, and what to set. Write a check as a function of the stacked readings of some
batches and the variables in them, and add it to `_CHECKS`, or to `_AMOUNT_CHECKS` if it is not about numbers of counters.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from daycast.features.amounts import Accumulation, CalendarReset, find_resets
from daycast.features.deduplicate import KEY, is_repeated
from daycast.features.hourly import is_just_past_the_hour
from daycast.sources.batch import SourceBatch
from daycast.times import DAY, HOUR
from daycast.variables import Variable

_SHOWN = 3  # values of an example, doubts of one kind
# stamps around full hours: how near, how many, at which share of hours
_NEAR, _FEW, _NEARLY_ALL = timedelta(minutes=1), 3, 0.8
_MINUTES_APART = timedelta(minutes=5)  # stamps that come more often fall near full hours anyway
_FARTHER, _RARELY = timedelta(minutes=2), timedelta(minutes=30)  # how near stamps are that come as rarely
_TOLERANCES_S = (1, 2, 5, 10, 15, 30, 60, 90, 120)
_TENS = 36  # of degrees are all around
_FRACTION, _LEAST_FRACTIONS = 1.1, 6  # the highest humidity that is a fraction; how many tell
_SAME_TIME, _LEAST_RESETS = timedelta(hours=1), 2  # of day, at which a counter is reset; how often
_NEAR_END, _LEAST_END = 0.95, 10.0  # from which share of it on a counter is near its end; the lowest end that is told
_WITHIN_AN_HOUR = timedelta(minutes=55)  # reports of every hour jitter by some minutes
_LEAST_DIRECTIONS, _LEAST_SPAN = 3, timedelta(hours=2)
_LEAST_OTHERS = 3  # values that are none of the suspected markers
_NUMBER = re.compile(r"^(\d+)(?:\.0*)?$")  # that data frames add to station ids that are whole numbers
_LEAST_DATES, _MONTHS, _NEXT_DAYS = 3, 12, timedelta(days=2)
_FEWER_JUMPS = 2  # times as many jumps from date to date as with day and month exchanged
_DAY, _MONTH = re.compile(r"%[-_0]?[de]"), re.compile(r"%[-_0]?m")
# zones whose clocks go back at different hours and days, the most frequent first
_GOING_BACK = (
    "Europe/Berlin", "America/New_York", "Europe/London", "Europe/Helsinki", "Australia/Sydney", "Australia/Adelaide",
    "Pacific/Auckland", "America/Santiago", "America/Havana", "Africa/Cairo", "Asia/Jerusalem", "Asia/Beirut", "Asia/Tehran",
    "America/Asuncion", "America/Sao_Paulo", "America/Mexico_City", "Australia/Lord_Howe",
)  # fmt: skip
_MOST_AUTUMNS = 200
_FAR = 0.1  # of all that is possible
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


class Doubts:
    """The doubts of a run in order, each once; of a kind that many files share, the first three and how many more there are.

    Of one kind are lines that differ in the file, the station, numbers and their examples (in parentheses) alone.
    """

    def __init__(self) -> None:
        self._of_kind: dict[str, dict[str, None]] = {}
        self._more: dict[str, set[str]] = {}

    def add(self, doubts: Iterable[str], files: Collection[str] = ()) -> None:
        """Add lines. files: the names of files with which they may begin."""
        for doubt in doubts:
            file = next((file for file in files if doubt.startswith(f"{file}: ")), "")
            kind = _kind_of(doubt.removeprefix(f"{file}: "))
            lines = self._of_kind.setdefault(kind, {})
            if doubt in lines or len(lines) < _SHOWN:
                lines[doubt] = None
            else:
                self._more.setdefault(kind, set()).add(file)

    def told(self) -> tuple[str, ...]:
        """The lines."""
        told = list[str]()
        for kind, lines in self._of_kind.items():
            told += lines
            if kind in self._more:
                of_files = len(self._more[kind] - {""})
                files = ("file " if of_files == 1 else "files ") if of_files else ""
                told.append(f"and {of_files or 'some'} more {files}like the last")
        return tuple(told)


def _kind_of(doubt: str) -> str:
    plain = re.sub(r"\bstation \S+", "station", re.sub(r"\(.*?\)", "()", doubt))
    plain = re.sub(r"\d[\d,.:TZ-]*", "#", plain)
    return re.sub(r"# (row|value|time|reading)s?( has| have| is| are)?\b", r"# \1", plain)


def find_doubts(
    batches: Sequence[SourceBatch], variables: Mapping[str, Variable], stations: pl.DataFrame | None = None
) -> list[str]:
    """The doubts about batches of one source, each once: those of the source itself, then those about its readings.

    Readings of a kind that fixes how they are read, such as an archive's, are doubted for the names of their stations alone.

    stations: those that are known, listed or stored (station_id, latitude); None if they are not to be compared.
    """
    own = [doubt for batch in batches for doubt in batch.doubts]
    frames = [
        batch.readings.with_columns(tolerance=pl.lit(batch.tolerance, pl.Duration("us")))
        for batch in batches
        if batch.is_described and not batch.is_forecast and len(batch.readings)
    ]
    found: list[str] = []
    if frames:
        readings = pl.concat(frames, how="diagonal").drop_nulls(KEY)
        if "later_at" in readings.columns:  # these may be told apart by what is known, or are refused
            readings = readings.filter(pl.col("later_at").is_null())
        counted = {name for batch in batches for name in batch.accumulations}
        read = {name: variable for name, variable in variables.items() if name in readings.columns}
        amounts = {name: variable for name, variable in read.items() if name not in counted}
        found += [doubt for check in _CHECKS for doubt in check(readings, read)]
        found += [doubt for check in _AMOUNT_CHECKS for doubt in check(readings, amounts)]
        totals = {name: one for batch in batches for name, one in batch.accumulations.items() if name in read}
        found += [*find_other_resets(readings, totals), *find_unstated_hours(readings, totals)]
        found += find_scatter(readings)
        found += find_swapped_days(readings["observed_at"], next((batch.time_format for batch in batches), ""))
    if stations is not None and batches:
        found += find_spellings(pl.concat(batch.readings["station_id"] for batch in batches), stations)
    return list(dict.fromkeys([*own, *found]))


def find_conflicts(readings: pl.DataFrame, names: Mapping[str, Variable]) -> list[str]:
    """One doubt if rows of one station and instant differ in a value, with an example of the first such instant."""
    repeated = readings.filter(is_repeated(readings)) if names else readings.clear()
    if repeated.is_empty():
        return []
    by_key = repeated.group_by(KEY, maintain_order=True).agg(pl.col(*names).drop_nulls().unique(maintain_order=True))
    differ = [pl.col(name).list.len() > 1 for name in names]
    conflicts = by_key.filter(pl.any_horizontal(differ)).sort(KEY)
    if conflicts.is_empty():
        return []
    first = conflicts.row(0, named=True)
    name = next(name for name in names if len(first[name]) > 1)
    values = ", ".join(f"{value:g}" for value in first[name][:_SHOWN])
    example = f"station {first['station_id']}, {first['observed_at']:%Y-%m-%dT%H:%MZ}, {name} {values}"
    way_out = "map the column that tells them apart, or take the second export away"
    if zone := _zone_going_back(conflicts["observed_at"]):
        way_out = f"set timezone, because clocks went back then, for example in {zone}; else {way_out}"
    times = f"{len(conflicts):,} {'time' if len(conflicts) == 1 else 'times'}"
    return [f"rows of one station and instant differ, {times} ({example}), and the last row counts: {way_out}"]


def _zone_going_back(instants: pl.Series) -> str | None:
    """A zone in which all these times came twice, if they are times of its clocks and were taken for UTC; None without one."""
    hours = instants.dt.truncate("1h").unique().dt.replace_time_zone(None).to_list()
    if len(hours) > _MOST_AUTUMNS:
        return None
    return next((zone for zone in _GOING_BACK if all(_came_twice(hour, ZoneInfo(zone)) for hour in hours)), None)


def _came_twice(wall: datetime, zone: ZoneInfo) -> bool:
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first is not None and second is not None and first > second  # the other way round it was skipped


def find_tens_of_degrees(readings: pl.DataFrame, variables: Mapping[str, Variable]) -> list[str]:
    """A doubt for each direction that never exceeds 36 in whole numbers, as tens of degrees do."""
    return [
        doubt
        for name, variable in variables.items()
        if variable.circular and (variable.valid_min, variable.valid_max) == (0.0, 360.0)
        for doubt in _tens_of_degrees(readings.drop_nulls(name), name)
    ]


def _tens_of_degrees(known: pl.DataFrame, name: str) -> list[str]:
    value = pl.col(name)
    whole = (value >= 0) & (value <= _TENS) & (value == value.round())
    if known.is_empty() or not known.select(whole.all() & (value % 10 != 0).any()).item():
        return []
    span = known.select(pl.col("observed_at").max() - pl.col("observed_at").min()).item()
    if known[name].n_unique() < _LEAST_DIRECTIONS or span < _LEAST_SPAN:
        return []  # a northerly wind
    first = _example(known.filter(value == value.max()), name)
    way_out = "if these are tens of degrees, set factor = 10 on its column"
    return [f"{name} never exceeds {_TENS} in {len(known):,} rows ({first}): {way_out}"]


def find_fractions(readings: pl.DataFrame, variables: Mapping[str, Variable]) -> list[str]:
    """A doubt if the relative humidity of a station never exceeds 1, as one written as a fraction does."""
    name = "relative_humidity_pct"
    if name not in variables:
        return []
    value, at = pl.col(name), pl.col("observed_at")
    fractions = value.filter(value != value.round()).n_unique()
    stations = readings.drop_nulls(name).group_by("station_id", maintain_order=True).agg(
        rows=pl.len(), low=value.min(), high=value.max(), fractions=fractions, span=at.max() - at.min()
    )  # fmt: skip
    enough = (pl.col("rows") >= _LEAST_FRACTIONS) & (pl.col("fractions") >= _LEAST_OTHERS)
    enough &= pl.col("span") >= _LEAST_SPAN  # no sensor that is stuck at 0 or 1
    suspects = stations.filter((pl.col("low") >= 0) & (pl.col("high") <= _FRACTION) & enough)
    if suspects.is_empty():
        return []
    first = suspects.sort("high").row(-1, named=True)
    rows = readings.filter(pl.col("station_id") == first["station_id"]).filter(value != value.round())
    many = f"{suspects['rows'].sum():,} rows"
    seen = f"{name} never exceeds {first['high']:g} in {many} ({_example(rows, name)})"
    others = len(stations) - len(suspects)
    apart = f"; {others:,} other station{'s have' if others > 1 else ' has'} percent: read these as another source"
    return [f"{seen}: if these are fractions, set factor = 100 on its column{apart if others else ''}"]


def find_missing_markers(readings: pl.DataFrame, variables: Mapping[str, Variable]) -> list[str]:
    """A doubt for each value that is repeated exactly, far from all others, as an undeclared missing marker is."""
    suspected = _with_lonely_ends(readings, list(variables.values()))
    return [doubt for variable in suspected for doubt in _missing_markers(readings, variable)]


def _with_lonely_ends(readings: pl.DataFrame, variables: Sequence[Variable]) -> list[Variable]:
    """The variables whose lowest or highest value is repeated and stands apart: this spares most variables the counting."""
    looks = [_ends(pl.col(variable.name)).alias(variable.name) for variable in variables]
    ends = readings.select(looks).row(0, named=True) if looks else {}
    return [variable for variable in variables if _has_lonely_end(ends[variable.name], variable)]


def _ends(value: pl.Expr) -> pl.Expr:
    """The lowest and highest of the values, how often each comes, and the values next to them, null if there are none."""
    is_least, is_most = value == value.min(), value == value.max()
    inner = value.filter(~is_least & ~is_most)
    return pl.struct(
        least=value.min(),
        times_least=is_least.sum(),
        second=inner.min(),
        last_but_one=inner.max(),
        most=value.max(),
        times_most=is_most.sum(),
    )


def _has_lonely_end(ends: Mapping[str, Any], variable: Variable) -> bool:
    second, last_but_one = ends["second"], ends["last_but_one"]
    if second is None:
        return False
    first_is_one = ends["times_least"] > 1 and _stands_apart(ends["least"], second, last_but_one, variable)
    last_is_one = ends["times_most"] > 1 and _stands_apart(ends["most"], last_but_one, second, variable)
    return first_is_one or last_is_one


def _missing_markers(readings: pl.DataFrame, variable: Variable) -> list[str]:
    counts = readings[variable.name].drop_nulls().value_counts(name="rows").sort(variable.name)
    values, rows = counts[variable.name].to_list(), counts["rows"].to_list()
    first, last, found = 0, len(values) - 1, list[int]()
    while last - first >= _LEAST_OTHERS:
        lowest_is_one = rows[first] > 1 and _stands_apart(values[first], values[first + 1], values[last], variable)
        highest_is_one = rows[last] > 1 and _stands_apart(values[last], values[last - 1], values[first], variable)
        if not (lowest_is_one or highest_is_one):
            break
        found.append(first if lowest_is_one else last)
        first, last = (first + 1, last) if lowest_is_one else (first, last - 1)
    rest = f"the rest is {values[first]:g} to {values[last]:g}" if found else ""
    return [
        f"{variable.name} is {values[at]:g} in {rows[at]:,} rows, and {rest} "
        f"({_example(readings.filter(pl.col(variable.name) == values[at]), variable.name)}): "
        "if it marks missing values, add it to missing as the source writes it"
        for at in found
    ]


def _stands_apart(value: float, nearest: float, farthest: float, variable: Variable) -> bool:
    """Whether a repeated value is the only one beyond a physical limit on its side, or far from all others.

    Far: by more than these differ among themselves, and by more than a tenth of all that is possible.
    """
    if variable.is_outside(value) and not variable.is_outside(nearest):
        return True
    gap, range_of_others = abs(value - nearest), abs(nearest - farthest)
    return not variable.circular and gap > max(range_of_others, _FAR * (variable.valid_max - variable.valid_min))


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
        seen += f", and not always: {_example(above, 'number')}"
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
    seen = f"{name}, the total of a running hour, began anew and was no lower for it ({_example(unclear, name)})"
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


def find_spellings(station_ids: pl.Series, stations: pl.DataFrame) -> list[str]:
    """A doubt for each group of station ids that differ in leading zeros, decimals, case or blanks only.

    One of them is in `station_ids`.

    stations: station_id, latitude of the stations that are known.
    """
    arrived = station_ids.drop_nulls().unique()
    placed = set(stations.drop_nulls("latitude")["station_id"])
    both = pl.concat([arrived, stations["station_id"]]).unique().sort()
    plain = both.str.replace_all(r"\s", "").str.to_lowercase().str.replace(r"^(\d+)\.0*$", "$1")
    plain = plain.str.replace(r"^0+(\d)", "$1")
    groups = pl.DataFrame({"id": both, "plain": plain}).group_by("plain").agg("id").filter(pl.col("id").list.len() > 1)
    arrived_ids = set(arrived)
    return sorted(_describe_spellings(ids, placed) for ids in groups["id"].to_list() if arrived_ids & set(ids))


def _describe_spellings(ids: Sequence[str], placed: set[str]) -> str:
    what = [
        words
        for words, alike in (
            ("leading zeros", lambda text: text.lstrip("0")),
            ("decimals", lambda text: _NUMBER.sub(r"\1", text)),
            ("case", str.lower),
            ("blanks", lambda text: "".join(text.split())),
        )
        if len({alike(text) for text in ids}) < len(ids)
    ]
    are_numbers = all(_NUMBER.match(text) for text in ids)
    what = what or (["leading zeros", "decimals"] if are_numbers else ["leading zeros, decimals, case and blanks"])
    without = [repr(text) for text in ids if text not in placed] if placed & set(ids) else []
    no_position = (
        f", and {' and '.join(without)} {'has' if len(without) == 1 else 'have'} no position" if without else ""
    )
    width = max(len(_NUMBER.sub(r"\1", text)) for text in ids)
    way_out = f"set station_width = {width}" if are_numbers else "write it one way in all sources and lists"
    names = " and ".join(map(repr, ids))
    return f"stations {names} differ in {' and '.join(what)} only{no_position}: if they are one station, {way_out}"


def _example(rows: pl.DataFrame, name: str) -> str:
    first = rows.sort("observed_at").row(0, named=True)
    return f"station {first['station_id']}, {first['observed_at']:%Y-%m-%dT%H:%MZ}, {first[name]:g}"


def find_scatter(readings: pl.DataFrame) -> list[str]:
    """One doubt if a station's hourly readings are stamped seconds past the full hour, so that they count for the next one.

    Nearly every hour of it has a stamp at most a minute from its beginning, two if its readings are half hours apart.
    """
    near, past = pl.col("near"), pl.col("past")
    undeclared = readings.filter(pl.col("tolerance") == pl.duration())
    undeclared = undeclared.filter(
        is_just_past_the_hour(pl.col("observed_at"), pl.lit(_FARTHER)).any().over("station_id")
    )
    stamps = undeclared.select(KEY).unique().sort(KEY)
    stamps = stamps.with_columns(
        hour=(pl.col("observed_at") + HOUR / 2).dt.truncate("1h"), step=pl.col("observed_at").diff()
    )
    step = pl.col("step").filter(pl.col("step") > pl.duration()).median().over("station_id")
    stamps = stamps.with_columns(near=pl.col("observed_at") - pl.col("hour"), step=step)
    stamps = stamps.with_columns(limit=pl.when(pl.col("step") >= _RARELY).then(_FARTHER).otherwise(_NEAR))
    stamps = stamps.with_columns(past=pl.when(near.is_between(timedelta(microseconds=1), pl.col("limit"))).then("near"))
    stations = stamps.group_by("station_id", maintain_order=True).agg(
        hours=pl.col("hour").n_unique(),
        near=pl.col("hour").filter(near.abs() <= pl.col("limit")).n_unique(),
        moved=past.count(),
        most=past.max(),
        step=pl.col("step").first(),
        example=pl.col("observed_at").filter(past.is_not_null()).first(),
    )
    suspects = stations.filter(
        (pl.col("moved") >= _FEW) & (near >= _NEARLY_ALL * pl.col("hours")) & (pl.col("step") >= _MINUTES_APART)
    )
    if suspects.is_empty():
        return []
    first = suspects.row(0, named=True)
    least = suspects["most"].max()
    tolerance = next(span for span in _TOLERANCES_S if timedelta(seconds=span) >= least)  # type: ignore[operator]
    seen = f"{suspects['moved'].sum():,} readings are stamped seconds past a full hour and count for the next one"
    example = f"station {first['station_id']}, {first['example']:%Y-%m-%dT%H:%M:%SZ}"
    return [f'{seen} ({example}): if they belong to the hour that they are near to, set tolerance = "{tolerance}s"']


def find_swapped_days(observed: pl.Series, time_format: str) -> list[str]:
    """One doubt if the dates jump from month to month, and follow each other if day and month are exchanged in the format."""
    day, month = _DAY.search(time_format), _MONTH.search(time_format)
    if not (day and month):
        return []
    dates = _main_dates(observed)
    if len(dates) < _LEAST_DATES or dates.dt.day().max() > _MONTHS + 1:  # type: ignore[operator]
        return []
    date = pl.col("date")
    exchangeable = dates.to_frame().filter(date.dt.day() <= _MONTHS)  # in UTC a day may be the 13th
    exchanged = exchangeable.select(pl.date(date.dt.year(), date.dt.day(), date.dt.month())).to_series()
    jumps, jumps_exchanged = ((one.sort().diff() > _NEXT_DAYS).sum() for one in (dates, exchanged))
    if jumps < _LEAST_DATES - 1 or jumps < _FEWER_JUMPS * jumps_exchanged:
        return []
    shown, instead = (", ".join(f"{one:%Y-%m-%d}" for one in some.sort().head(_SHOWN)) for some in (dates, exchanged))
    way_out = _MONTH.sub("\0", time_format).replace(day[0], month[0]).replace("\0", day[0])
    seen = f"the days read jump by months: {len(dates):,} of {len(dates):,} dates are read as {shown} …"
    way_out = f'if day and month are exchanged, set format = "{way_out}"'
    return [f"{seen}, and would follow each other as {instead} …: {way_out}"]


def _main_dates(observed: pl.Series) -> pl.Series:
    """The dates in UTC of most rows: without those that only the evenings or mornings of local days fall on."""
    counts = observed.dt.date().alias("date").value_counts()
    return counts.filter(2 * pl.col("count") >= pl.col("count").max())["date"].sort()


Check = Callable[[pl.DataFrame, Mapping[str, Variable]], list[str]]
_CHECKS: tuple[Check, ...] = (find_conflicts, find_tens_of_degrees, find_fractions)
_AMOUNT_CHECKS: tuple[Check, ...] = (find_missing_markers, find_undeclared_counters)
