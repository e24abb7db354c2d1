"""Which columns are the time, in which form, and in which zone; guessed from names, cells, and what stands above the rows."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

import polars as pl

from daycast.errors import listed
from daycast.sources.guess.columns import means
from daycast.sources.tables.times import TimeColumn

_DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%m/%d/%y",
    "%d/%m/%y", "%y/%m/%d", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y.%m.%d", "%d-%b-%Y", "%d %b %Y", "%d-%b-%y", "%d%b%Y",
    "%d %B %Y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y", "%a, %d %b %Y", "%a %d %b %Y", "%A %d %B %Y", "%Y%m%d", "%d%m%Y",
    "%y%m%d", "%Y-%j", "%Y %j", "%Y %m %d",
)  # fmt: skip
_CLOCKS = (
    "%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%H%M UTC", "%H:%M UTC",
    "%Hh%M", "%Hh", "%H:%M Uhr", "%H:%M%z", "%H:%M %z", "%H:%M:%S%z", "%H:%M:%S %z",
)  # fmt: skip
_BARE_CLOCKS = ("%H.%M", "%H.%M.%S", "%H%M", "%H %M")  # that other numbers look like
_JOINTS = (" ", "T", "_", "-", ", ", " - ")  # between a day and a clock in one column
_COMPACT = (
    "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%y%m%d%H%M", "%Y%m%dT%H%M", "%Y%m%dT%H%MZ", "%a %b %d %H:%M:%S %Y", "%Y%j%H%M",
)  # fmt: skip
_SHAPES = {
    "%Y": r"\d{4}", "%y": r"\d\d", "%p": r"[AaPp](?:[Mm]|\.\s?[Mm]\.)?", "%j": r"\d{3}", "%.f": r"\.\d+", "%z": r"[+-]\d\d:?\d\d",
    "%b": r"[A-Za-z]{3}", "%B": r"[A-Za-z]{3,9}", "%a": r"[A-Za-z]{3}", "%A": r"[A-Za-z]{6,9}",
}  # fmt: skip
_SHOWN = 300  # cells that tell what a column counts
_FEW, _NEARLY_ALL = 5, 0.8  # cells that are tried first; the share of them that have to be times
_HOURS, _HHMM = 24, 4
_SHEET_DAYS = (30_000, 60_000)  # since 1900: 1982 to 2064
_YEARS = (1800, 2200)  # 25-07-11 is in none of the year 25
_HOUR = 3_600_000_000  # microseconds
_TOLERANCES = (1, 2, 5, 10, 15, 30, 60)  # seconds
_OFFSET = re.compile(r"(?:UTC|GMT)\s*([+-])(\d{1,2})(?::?(\d\d))?\b")
_UTC = re.compile(r"(?<![A-Za-z])(?:UTC|GMT|Zulu)(?![A-Za-z+-])|(?<![a-z])utc(?![a-z+-])|dateutc")
_ZONE = re.compile(
    r"\b(?:Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Europe|Indian|Pacific)/[A-Z]\w+(?:/\w+)?"
)
_FIXED = {  # hours ahead of UTC, of names that mean standard time
    "EST": -5, "CST": -6, "MST": -7, "PST": -8, "AKST": -9, "HST": -10, "BRT": -3, "WET": 0, "CET": 1, "MEZ": 1,
    "NORMALTID": 1, "EET": 2, "SAST": 2, "MSK": 3, "JST": 9, "KST": 9, "AEST": 10, "NZST": 12,
}  # fmt: skip


@dataclass
class Time:
    """The columns of the time, the settings `time` and `timezone`, and what is a guess about them."""

    columns: tuple[str, ...]
    setting: Any
    names_instants: bool = False  # by an offset, or since 1970
    timezone: str | None = None
    doubts: dict[str, str] = field(default_factory=dict)


def find_time(table: pl.DataFrame) -> Time | None:
    """The time of the rows; None if no columns show one."""
    named = [name for name in table.columns if means("time", name) or _names_zone(name)]
    others = [name for name in table.columns if name not in named]
    for names in (named, others):
        found = [time for name in names for time in _alone(table, name)]
        if found:
            return min(found, key=lambda time: (not time.names_instants, _UTC.search(" ".join(time.columns)) is None))
    return _joined(table, named) or _in_parts(table) or _joined(table, list(table.columns))


def why_no_time(table: pl.DataFrame) -> str:
    """Why no columns show a time, and the way out."""
    named = [name for name in table.columns if means("time", name)]
    for name in named:
        cells = table[name].drop_nulls()
        shown = f"{name!r} shows {cells[0] if len(cells) else ''}, "
        if _reads(cells, _DAYS, daily=True):
            return (
                f"{shown}a day without a clock, and daycast forecasts hours: give a file of hourly readings, or name the column "
                "of the clock by hand, time = { columns = [day, clock] }"
            )
        counts = cells.cast(pl.Float64, strict=False)
        if counts.count() and counts.is_between(*_SHEET_DAYS).fill_null(value=False).all():
            return f"{shown}which counts days as spreadsheets do: save the file with this column as date and time"
    columns, row = listed(map(repr, table.columns)), listed(str(cell or "") for cell in table.row(0))
    if all(re.fullmatch(r"column \d+", name) for name in table.columns) and (table.row(0)[0] or "").isdigit():
        way_out = "its columns have no names, so write its [[sources]] table by hand, with names, or with widths if they touch"
    else:
        way_out = "write its [[sources]] table by hand, with time = { column = …, format = … }"
    return f"no column shows a time that daycast can read; its columns are {columns}, and its first row is {row}: {way_out}"


def _alone(table: pl.DataFrame, name: str) -> Iterator[Time]:
    cells = table[name].drop_nulls()
    if cells.is_empty() or not cells[0][:1].isalnum():
        return
    if _reads(cells, [None]):
        instants = TimeColumn(column=name).read_instants(cells.head(_SHOWN))
        yield Time((name,), name, names_instants=instants.null_count() == 0)
    elif fitting := _reads(cells, _forms(cells)):
        chosen, doubt = _most_regular(cells, fitting)
        setting = {"column": name, "format": chosen}
        yield Time((name,), setting, "%z" in (chosen or ""), doubts={"time": doubt} if doubt else {})
    elif epoch := _epoch(cells.head(_SHOWN).cast(pl.Float64, strict=False)):
        yield Time((name,), {"column": name, "epoch": epoch}, names_instants=True)


def _forms(cells: pl.Series) -> list[str]:
    """The formats whose shape one of the first cells has."""
    first = [str(cell) for cell in cells.head(_FEW)]
    found = [form for form in _COMPACT if any(_shape(form).fullmatch(cell) for cell in first)]
    for cell, day in product(first, _DAYS):
        if begun := _shape(day).match(cell):
            after = cell[begun.end() :]
            fitting = (joint + clock for joint, clock in product(_JOINTS, (*_CLOCKS, *_BARE_CLOCKS)))
            found += [day + form for form in fitting if _shape(form).fullmatch(after)]
    return list(dict.fromkeys(found))


@cache
def _shape(form: str) -> re.Pattern[str]:
    digits = r"\d\d" if re.search(r"%[A-Za-z]%(?!p)[A-Za-z]", form) else r"\d{1,2}"
    parts = re.split(r"(%\.?[A-Za-z])", form)
    return re.compile("".join(_SHAPES.get(part, digits if part[:1] == "%" else re.escape(part)) for part in parts))


def _epoch(counts: pl.Series) -> str | None:
    """What numbers count since 1970, if they do: since 1990, and not all the same."""
    if counts.null_count() or counts.n_unique() * 20 < len(counts):
        return None
    return next(
        (name for name, ticks in (("s", 1), ("ms", 1000)) if counts.is_between(6e8 * ticks, 2.1e9 * ticks).all()), None
    )


def _joined(table: pl.DataFrame, names: Sequence[str]) -> Time | None:
    """A day and a clock in two columns, the clock after the day or before it."""
    days = [name for name in names if _reads(table[name].drop_nulls(), _DAYS, daily=True)]
    for day in days:
        for clock in (name for name in names if name != day):
            bare = _bare_clock(table, clock)
            both = table.select(pl.concat_str([day, clock], separator=" ")).to_series().drop_nulls()
            if len(both) * 2 < table.height:
                continue
            if fitting := _reads(both, [None, *(f"{one} {other}" for one, other in product(_DAYS, (*_CLOCKS, *bare)))]):
                chosen, doubt = _most_regular(both, fitting)
                setting = {"columns": [day, clock]} | ({"format": chosen} if chosen else {})
                return Time((day, clock), setting, doubts={"time": doubt} if doubt else {})
    return None


def _in_parts(table: pl.DataFrame) -> Time | None:
    """Year, month, day and hour in columns of their own; or the day of the year, or a clock, in place of some of them."""
    given: dict[str, str] = {}
    for part in ("year", "month", "day", "doy", "hour", "minute"):
        if name := next((name for name in table.columns if name not in given.values() and means(part, name)), None):
            given[part] = name
    if "doy" not in given and {"year", "month", "day", "hour"} <= given.keys():
        parts = {part: given[part] for part in ("year", "month", "day", "hour", "minute") if part in given}
        form = "%Y %m %d %H" + (" %M" if "minute" in parts else "")
        if _reads(table.select(pl.concat_str(parts.values(), separator=" ")).to_series().drop_nulls(), [form]):
            return Time(tuple(parts.values()), parts)
    if "year" not in given or not ("doy" in given or {"month", "day"} <= given.keys()):
        return None
    day = ("year", "doy") if "doy" in given else ("year", "month", "day")
    form = "%Y %j" if "doy" in given else "%Y %m %d"
    columns = [given[part] for part in day]
    for clock in (
        name for name in table.columns if name not in columns and (means("time", name) or means("hour", name))
    ):
        cells = table.select(pl.concat_str([*columns, clock], separator=" ")).to_series().drop_nulls()
        if fitting := _reads(cells, [f"{form} {one}" for one in (*_CLOCKS, *_bare_clock(table, clock))]):
            return Time((*columns, clock), {"columns": [*columns, clock], "format": fitting[0]})
    return None


def _bare_clock(table: pl.DataFrame, name: str) -> tuple[str, ...]:
    """The form of a clock without a separator in a column that is called so: hours, or hours and minutes such as 30 and 1430."""
    if not (means("time", name) or means("hour", name)):
        return ()
    cells = table[name].drop_nulls()
    is_long = "mm" in name.lower() or bool((cells.str.len_chars() == _HHMM).all())
    is_long |= bool((cells.cast(pl.Float64, strict=False) > _HOURS).any())
    return ("%H%M",) if is_long else ("%H", *_BARE_CLOCKS[:2])


def _reads(cells: pl.Series, formats: Sequence[str | None], *, daily: bool = False) -> list[str | None]:
    """The formats in which (nearly) all cells are times."""
    few = [form for form in formats if _share_read(cells.head(_FEW), form, daily=daily)]
    return [form for form in few if _share_read(cells, form, daily=daily) >= _NEARLY_ALL]


def _share_read(cells: pl.Series, form: str | None, *, daily: bool = False) -> float:
    years = _read(cells, form, daily=daily).dt.year()
    return int(years.is_between(*_YEARS).sum()) / len(cells) if len(cells) else 0.0


def _read(cells: pl.Series, form: str | None, *, daily: bool = False) -> pl.Series:
    column = TimeColumn(column="time", format=form, daily=daily)
    walls = column.read_walls(cells)
    if walls.null_count() < len(cells):
        return walls
    return column.read_instants(cells).dt.replace_time_zone(None)


def _most_regular(cells: pl.Series, formats: Sequence[str | None]) -> tuple[str | None, str]:
    """The format in which the times lie closest together, and what is doubtful about it: 3/4 is in March or April."""
    times = {form: _read(cells, form) for form in formats}
    spans = {form: _span(times[form]) for form in formats}
    best = min(spans, key=lambda form: spans[form])
    others = (form for form in spans if form != best and spans[form] == spans[best])
    alike = [repr(form) for form in others if not times[form].equals(times[best])]
    return best, f"or {' or '.join(alike)}: nothing tells the day from the month" if alike else ""


def _span(times: pl.Series) -> tuple[int, float]:
    known = times.drop_nulls()
    return times.null_count(), (known.max() - known.min()).total_seconds()  # type: ignore[operator,union-attr]


def _names_zone(name: str) -> bool:
    return name.strip().upper() in _FIXED or means("time", re.sub(r",.*", "", name))


def find_zone(time: Time, head: str) -> None:
    """Add the time zone that the names of the columns state, or the text above the rows; else UTC, which is a guess."""
    if time.names_instants:
        return
    names = " ".join(time.columns)
    cells_say = "UTC" if isinstance(time.setting, dict) and "UTC" in time.setting.get("format", "") else ""
    for text in (f"{names} {cells_say}", head):
        if found := _OFFSET.search(text):
            time.timezone = f"{found[1]}{int(found[2]):02}:{found[3] or '00'}"
        elif _UTC.search(text):
            time.timezone = "UTC"
        elif found := _ZONE.search(text):
            time.timezone = found[0]
        if time.timezone:
            return
    if fixed := next((_FIXED[word] for word in re.findall(r"[A-Z]+", names.upper()) if word in _FIXED), None):
        time.timezone = offset(fixed)
        time.doubts["timezone"] = "as the column is called; without summer time"
    else:
        time.timezone = "UTC"
        time.doubts["timezone"] = (
            "the file does not say; for example Europe/Berlin, or +01:00 if the clock keeps standard time"
        )


def offset(hours: float) -> str:
    """A fixed offset from UTC as a time zone: +05:30."""
    minutes = round(abs(hours) * 60)
    return f"{'-' if hours < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def find_tolerance(table: pl.DataFrame, time: Time) -> str | None:
    """The tolerance that brings hourly stamps back to the full hours that they lie seconds around; None if they do not."""
    if not isinstance(time.setting, str | dict) or "year" in time.setting:
        return None
    column = TimeColumn.model_validate({"column": time.setting} if isinstance(time.setting, str) else time.setting)
    text = table.select(column.as_written()).to_series().drop_nulls()
    stamps = column.read_walls(text) if not time.names_instants else column.read_instants(text)
    past = stamps.drop_nulls().to_physical() % _HOUR
    seconds = (past.to_frame("past").select(pl.min_horizontal("past", _HOUR - pl.col("past"))).to_series() / 1e6).sort()
    late = int((past.is_between(1, _HOUR // 60)).sum())
    if late < _FEW or seconds.is_empty() or seconds[int(0.99 * len(seconds))] > _TOLERANCES[-1]:
        return None
    return f"{next(most for most in _TOLERANCES if most >= seconds[int(0.99 * len(seconds))])}s"
