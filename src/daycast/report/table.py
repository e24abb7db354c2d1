"""`render_frame`: a polars frame as a table that fits the terminal, rounds by unit, and says what it leaves out.

A frame that fits is shown completely. A frame that is too wide is shortened in this order, so that as little as possible is lost:

1. a single row becomes lines of name and value;
2. columns with the same value in every row are noted once, below the table;
3. long texts are cut;
4. columns are dropped from the right, and named below the table.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from daycast.report.plain_values import plain_values
from daycast.report.terminal import CUT, GAP, Side, cells, cut, line_up, printable, render_pairs, wrap

NOTHING = "–"  # shown for null
DECIMALS = {"c": 1, "hpa": 1, "m_s": 1, "pct": 1, "mm": 1, "h": 1, "deg": 0, "m": 0}  # by the unit a name ends in
POSITIONS = {"latitude": 4, "longitude": 4}  # decimals; about 10 m
DIGITS = 3  # significant digits where the unit is unknown: skill, probabilities, errors
IN_THE_UNIT = re.compile(r"value|observed|error|q\d\d")  # columns in the unit that `variable` names
UNKNOWN_TO_PYTHON = (
    TypeError,
    ValueError,
    OverflowError,
    pl.exceptions.PanicException,
)  # raised for values that Python cannot represent, such as the time 24:00
LONGEST = 1000  # characters of a text that are read; a terminal shows fewer
MOST_LINES = 4  # lines for one value of a single row
MOST_NOTES = 3  # lines for one note


@dataclass(frozen=True)
class _Column:
    """A column as text; `cuts` says whether its texts may be cut."""

    name: str
    texts: Sequence[str]
    side: Side
    cuts: bool

    @property
    def width(self) -> int:
        """The width of the widest cell, the heading included."""
        return max(map(cells, (self.name, *self.texts)))


def render_frame(frame: pl.DataFrame, width: int, rows: int, complete: str = "--format csv") -> str:
    """The first `rows` rows of the frame in lines of at most `width` cells; notes below say what is left out.

    Numbers are rounded by the unit at the end of the column's name, or by that of the row's `variable`; without a unit they keep
    three significant digits. Times with a zone are shown in UTC. complete: the option that shows everything, for the notes.
    """
    if not frame.width:
        return "done: there is nothing to show"
    shown = frame.head(rows)
    columns = [_column(series, shown) for series in shown]
    notes: list[str] = []
    if _total([column.width for column in columns]) <= width:
        lines = _table(columns, [column.width for column in columns])
    elif shown.height == 1:
        lines = _record(columns, width)
    else:
        lines, notes = _fit(columns, width, complete)
    told = (_cut_lines(note, width, MOST_NOTES) for note in [*notes, _count(frame, shown.height, complete)])
    return "\n".join([*lines, "", *(line for note in told for line in note)])


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _table(columns: Sequence[_Column], widths: Sequence[int]) -> list[str]:
    sides = [column.side for column in columns]
    rows = zip(*([column.name, *column.texts] for column in columns), strict=True)
    return [line_up([cut(cell, most) for cell, most in zip(row, widths, strict=True)], widths, sides) for row in rows]


def _record(columns: Sequence[_Column], width: int) -> list[str]:
    """A single row as lines: one or a few for each column."""
    names = min(max(cells(column.name) for column in columns), width // 2)
    room = width - names - len(GAP)
    pairs = [(column.name, line) for column in columns for line in _cut_lines(column.texts[0], room, MOST_LINES)]
    return render_pairs(pairs, width, names).splitlines()


def _fit(columns: Sequence[_Column], width: int, complete: str) -> tuple[list[str], list[str]]:
    """The shortened table of a frame that is too wide and has no or several rows, and the notes below it."""
    repeated, varying = _split_repeated(columns, width)
    kept, widths = _narrow(varying, width)
    notes = [_tell_repeated(repeated)] if repeated else []
    if dropped := [column.name for column in varying[len(kept) :]]:
        notes.append(_tell_dropped(dropped, width, complete))
    return _table(kept, widths), notes


def _split_repeated(columns: Sequence[_Column], width: int) -> tuple[list[_Column], list[_Column]]:
    """The columns with the same text in every row, as many as fit into a note; and the others, at least one."""
    repeated: list[_Column] = []
    varying: list[_Column] = []
    for i, column in enumerate(columns):
        if len(set(column.texts)) == 1 and (varying or i < len(columns) - 1):
            told = wrap(_tell_repeated([*repeated, column]), width)
            (repeated if len(told) <= MOST_NOTES else varying).append(column)
        else:
            varying.append(column)
    return repeated, varying


def _tell_repeated(columns: Iterable[_Column]) -> str:
    return "in every row above: " + ", ".join(f"{column.name} {column.texts[0]}" for column in columns)


def _tell_dropped(names: Sequence[str], width: int, complete: str) -> str:
    for named in range(len(names), 0, -1):
        more = f" and {len(names) - named:,} more" if named < len(names) else ""
        note = f"too wide to show (name fewer columns, or {complete}): {', '.join(names[:named])}{more}"
        if len(wrap(note, width)) <= MOST_NOTES:
            break
    return note


def _narrow(columns: Sequence[_Column], width: int) -> tuple[Sequence[_Column], list[int]]:
    """The columns from the left that fit after long texts are cut, at least one, and their widths."""
    wanted = [column.width for column in columns]
    longest = max(width // 3, 24)  # cells of a text while other columns need the room
    widths = [
        max(cells(column.name), min(most, longest)) if column.cuts else most
        for column, most in zip(columns, wanted, strict=True)
    ]
    while len(widths) > 1 and _total(widths) > width:
        widths.pop()
    widths[0] = min(widths[0], width)
    for i, most in enumerate(wanted[: len(widths)]):
        widths[i] = min(most, widths[i] + width - _total(widths))
    return columns[: len(widths)], widths


def _count(frame: pl.DataFrame, shown: int, complete: str) -> str:
    """The number of rows, and the time zone if there are times."""
    count = f"{frame.height:,} row" + ("" if frame.height == 1 else "s") if frame.height else "no rows"
    if shown < frame.height:
        count = f"the first {shown:,} of {count} ({complete} gives all)"
    zoned = any(isinstance(dtype, pl.Datetime) and dtype.time_zone for dtype in frame.dtypes)
    return f"{count}, times in UTC" if zoned else count


def _cut_lines(text: str, width: int, most: int) -> list[str]:
    lines = wrap(text, width)
    return lines if len(lines) <= most else [*lines[: most - 1], cut(lines[most - 1], width - 1) + CUT]


def _column(series: pl.Series, frame: pl.DataFrame) -> _Column:
    """One column of `frame` as text."""
    dtype, name = series.dtype, printable(series.name[:LONGEST])
    if dtype.is_float():
        return _Column(name, _numbers(series, frame), "right", cuts=False)
    if dtype.is_numeric():
        return _Column(name, _tell_each(series, str), "right", cuts=False)
    if isinstance(dtype, pl.Date | pl.Datetime):
        return _Column(name, _times(series), "left", cuts=False)
    return _Column(name, _tell_each(_simplify(series), _tell), "left", cuts=not isinstance(dtype, pl.Time | pl.Boolean))


def _simplify(series: pl.Series) -> pl.Series:
    """The series with durations and categories as text."""
    if isinstance(series.dtype, pl.Duration):
        return series.dt.to_string("polars")
    return series.cast(pl.String) if isinstance(series.dtype, pl.Categorical | pl.Enum) else series


def _tell_each(series: pl.Series, tell: Callable[[Any], str]) -> list[str]:
    try:
        values = plain_values(series) if series.dtype.is_nested() else series.to_list()
    except UNKNOWN_TO_PYTHON:
        return [printable(str(series.dtype))] * len(series)
    return [NOTHING if value is None else tell(value) for value in values]


def _tell(value: object) -> str:
    """Any value on one line."""
    match value:
        case None:
            text = NOTHING
        case bool():
            text = str(value).lower()
        case float():
            text = f"{value:.4g}"
        case bytes():
            text = f"0x{value[:LONGEST].hex()}"
        case dict():
            text = "{" + ", ".join(f"{_tell(name)}: {_tell(one)}" for name, one in value.items()) + "}"
        case list() | pl.Series():
            text = "[" + ", ".join(map(_tell, value)) + "]"
        case _:
            text = printable(str(value)[:LONGEST])
    return text


def _times(series: pl.Series) -> list[str]:
    """Dates and times; seconds are left out if they are zero everywhere. Times with a zone are converted to UTC."""
    form = "%Y-%m-%d"
    year = series.dt.year()  # null where polars has no calendar, as for DuckDB's infinity
    readable = series.zip_with(year.is_between(1, 9999).fill_null(value=False), pl.Series([None], dtype=series.dtype))
    if isinstance(series.dtype, pl.Datetime):
        readable = readable.dt.convert_time_zone("UTC") if series.dtype.time_zone else readable
        form += " %H:%M" if (readable.dt.truncate("1m") == readable).all() else " %H:%M:%S"
    return [
        text or (NOTHING if instant is None else "after 9999" if instant > 0 else "before 0001")
        for text, instant in zip(readable.dt.strftime(form), series.to_physical(), strict=True)
    ]


def _numbers(series: pl.Series, frame: pl.DataFrame) -> list[str]:
    """Floats rounded by the unit of their column, or of the row's `variable` if there is such a column."""
    values = series.to_list()
    variables = [""] * len(values)
    if frame.schema.get("variable") == pl.String:
        variables = [variable or "" for variable in frame["variable"]]
    groups: dict[str, list[float]] = {}
    for variable, value in zip(variables, values, strict=True):
        groups.setdefault(variable, []).append(value)
    rounded = {variable: iter(_round(group, _decimals(series.name, variable))) for variable, group in groups.items()}
    return [next(rounded[variable]) for variable in variables]


def _decimals(name: str, variable: str) -> int | None:
    """The decimals for the unit in the name of the column or of the variable; None if there is no known unit."""
    if name in POSITIONS:
        return POSITIONS[name]
    named = variable if variable and IN_THE_UNIT.fullmatch(name) else name
    endings = (named.split("_", i)[-1] for i in range(1, named.count("_") + 1))
    return next((DECIMALS[ending] for ending in endings if ending in DECIMALS), None)


def _round(values: Sequence[float | None], decimals: int | None) -> list[str]:
    """The values as text. decimals None: so that the largest keeps three significant digits, and none if all are whole."""
    finite = [abs(value) for value in values if value is not None and math.isfinite(value)]
    largest = max(finite, default=0.0)
    exponential = largest >= 1e15 or (decimals is None and 0 < largest < 1e-4)
    if decimals is None and not exponential:
        whole = all(value.is_integer() for value in finite)
        decimals = 0 if whole else max(1, DIGITS - 1 - math.floor(math.log10(largest)))
    return [_tell_number(value, None if exponential else decimals) for value in values]


def _tell_number(value: float | None, decimals: int | None) -> str:
    if value is None:
        return NOTHING
    if decimals is None or not math.isfinite(value):
        return f"{value:.{DIGITS}g}"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not float(text) else text
