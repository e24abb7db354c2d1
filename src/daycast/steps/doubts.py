"""Doubts: what is odd about rows that can be read, so that ingest and doctor point at it. Nothing is changed or held back.

A doubt is one line: what was seen with an example, and what to set. Write a check as a function of the stacked readings of some
batches and the variables in them, and add it to `_CHECKS`, or to `_AMOUNT_CHECKS` if it is not about numbers of counters.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from daycast.features.deduplicate import KEY, is_repeated
from daycast.features.hourly import is_just_past_the_hour
from daycast.sources.batch import SourceBatch
from daycast.steps.counter_doubts import example_of, find_other_resets, find_undeclared_counters, find_unstated_hours
from daycast.times import HOUR
from daycast.variables import Variable

_SHOWN = 3  # values of an example, doubts of one kind
# stamps around full hours: how near, how many, at which share of hours
_NEAR, _FEW, _NEARLY_ALL = timedelta(minutes=1), 3, 0.8
_MINUTES_APART = timedelta(minutes=5)  # stamps that come more often fall near full hours anyway
_FARTHER, _RARELY = timedelta(minutes=2), timedelta(minutes=30)  # how near stamps are that come as rarely
_TOLERANCES_S = (1, 2, 5, 10, 15, 30, 60, 90, 120)
_TENS = 36  # of degrees are all around
_FRACTION, _LEAST_FRACTIONS = 1.1, 6  # the highest humidity that is a fraction; how many tell
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
    first = example_of(known.filter(value == value.max()), name)
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
    seen = f"{name} never exceeds {first['high']:g} in {many} ({example_of(rows, name)})"
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
        f"({example_of(readings.filter(pl.col(variable.name) == values[at]), variable.name)}): "
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
