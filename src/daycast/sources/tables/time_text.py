"""Times written as text: ISO 8601, strptime formats, and counts since 1970. Null where a text shows no time.

Beyond strptime: midnight may be written as hour 24 of the day that ends, hours and minutes without a separator (%H%M) may lack
their leading zeros, and %p may be one letter, as in 12:30a. Where digits could be cut in several ways, the text is no time.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from typing import Literal

import polars as pl

from daycast.times import DAY, FIRST_TIME, LAST_TIME

Epoch = Literal["s", "ms"]
_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000}  # in a second; nanoseconds end in the year 2262 and need no limits
MICROSECONDS = {"s": 1_000_000, "ms": 1_000}

_WALL = pl.Datetime("us")
_INSTANT = pl.Datetime("us", "UTC")
_ISO_WALL = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
_ISO_DAY = "%Y-%m-%d"
_ISO_INSTANT = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
_NAMES_INSTANT = re.compile(r"%(?:[:#]*z|s|\+)")  # an offset, or seconds since 1970
_SHOWS_CLOCK = re.compile(r"%[-_0]?[HIklTRXrcs+]")
_AM_PM, _HOUR_12 = re.compile(r"%[pPr]"), re.compile(r"%(?:[-_0]?[Il]|r)")
_A_OR_P = r"(?i)(\d\s*)([ap])(?:\.\s?m\.)?(\s|$)"  # 12:30a, 12:30 p.m.
_PROBE = datetime(2001, 2, 13, 14, 0, tzinfo=UTC)


def within_calendar(times: pl.Series, epoch: Epoch | None = None) -> pl.Series:
    """The times, null outside the years FIRST_TIME to LAST_TIME.

    Takes timestamps with or without a zone, or whole numbers that count since 1970 in `epoch`. .NET's empty date is in the
    year 1, the "infinity" of databases in the year 294247; Python and time zone tables fail at such times.
    """
    ticks = _TICKS.get(times.dtype.time_unit if isinstance(times.dtype, pl.Datetime) else epoch or "")
    if ticks is None:
        return times
    counts = times.to_physical().cast(pl.Int64, strict=False)
    first, last = (int(each.timestamp()) * ticks for each in (FIRST_TIME, LAST_TIME))
    inside = counts.is_between(first, last)
    return times.to_frame("time").select(pl.when(inside).then("time").alias(times.name)).to_series()


def parse_wall(text: pl.Series, time_format: str | None, *, daily: bool = False) -> pl.Series:
    """The naive time in `text`, in `time_format` (None: ISO 8601); null if it shows none, names an offset, or is out of range.

    In ISO 8601, a day without a clock is its midnight if `daily`, and else no time.
    """
    return within_calendar(_parse(text, time_format, _WALL, daily=daily))


def parse_instant(text: pl.Series, time_format: str | None) -> pl.Series:
    """The instant [UTC] that `text` names by an offset from UTC or in seconds since 1970; null if it names none.

    Null, too, for years outside FIRST_TIME to LAST_TIME.
    """
    return within_calendar(_parse(text, time_format, _INSTANT))


def parse_epoch(text: pl.Series, epoch: Epoch) -> pl.Series:
    """The instant [UTC] of text that counts seconds or milliseconds since 1970, perhaps with a fraction; null if it does not."""
    counts = text.cast(pl.Int64, strict=False)
    instants = within_calendar(counts, epoch) * MICROSECONDS[epoch]
    if counts.null_count() > text.null_count():
        microseconds = (text.cast(pl.Float64, strict=False) * MICROSECONDS[epoch]).round()
        instants = instants.zip_with(counts.is_not_null(), microseconds.cast(pl.Int64, strict=False))
    return within_calendar(instants.cast(_INSTANT))


def is_beyond_calendar(text: pl.Series, time_format: str | None) -> pl.Series:
    """True where `text` shows a time in this format, of a year that is not read."""
    beyond = pl.repeat(False, len(text), eager=True)
    for dtype in (_INSTANT, _WALL):
        parsed = _parse(text, time_format, dtype, daily=True)
        beyond |= parsed.is_not_null() & within_calendar(parsed).is_null()
        if parsed.null_count() == text.null_count():  # no text is both
            break
    return beyond


def is_day_alone(text: pl.Series) -> pl.Series:
    """True where `text` is a day in ISO 8601 without a clock."""
    return _strptime(text, _WALL, _ISO_DAY).is_not_null()


def shows_clock(time_format: str) -> bool:
    """Whether a format has an hour."""
    return _SHOWS_CLOCK.search(time_format) is not None


def validate_format(time_format: str) -> str:
    """Return the format if it reads back the day that it wrote; raise ValueError if not."""
    if _AM_PM.search(time_format) and not _HOUR_12.search(time_format):
        raise ValueError(f"{time_format!r} has %p, AM or PM, but no hour from 1 to 12: write %I in place of %H")
    if _HOUR_12.search(time_format) and not _AM_PM.search(time_format):
        raise ValueError(f"{time_format!r} has %I, the hour from 1 to 12, but no %p for AM or PM: add it, or write %H")
    zone = "UTC" if _NAMES_INSTANT.search(time_format) else None
    probe = pl.Series([_PROBE]).dt.replace_time_zone(zone)
    try:
        read = _strptime(probe.dt.strftime(time_format), pl.Datetime("us", zone), time_format).item()
    except pl.exceptions.PolarsError:
        read = None
    if read is None or read.date() != _PROBE.date():
        raise ValueError(f"{time_format!r} is not a date and time format: write for example '%d.%m.%Y %H:%M'")
    return time_format


def _parse(text: pl.Series, time_format: str | None, dtype: pl.Datetime, *, daily: bool = False) -> pl.Series:
    if time_format is None:
        forms = _ISO_INSTANT if dtype == _INSTANT else (*_ISO_WALL, _ISO_DAY) if daily else _ISO_WALL
        parsed = _parse_iso(text, dtype, forms)
        if parsed.null_count() > text.null_count() and text.str.contains("24:00", literal=True).any():
            for spelling in (_without_t, _with_z):
                parsed = _with_hour_24(parsed, spelling(text), dtype, forms)
        return parsed
    if (_NAMES_INSTANT.search(time_format) is None) == (dtype == _INSTANT):
        return _nulls(text, dtype)
    digits = _digits(time_format)
    padded = digits.pad(text) if digits else text
    return _with_hour_24(_strptime(padded, dtype, time_format), padded, dtype, [time_format])


def _parse_iso(text: pl.Series, dtype: pl.Datetime, forms: Iterable[str]) -> pl.Series:
    """Parse each text by the first of `forms` that fits it; later forms are tried only while texts are left."""
    parsed = _nulls(text, dtype)
    for spelling in (_without_t, _with_z):
        for form in forms:
            if parsed.null_count() > text.null_count():
                parsed = parsed.zip_with(parsed.is_not_null(), spelling(text).str.strptime(dtype, form, strict=False))
    return parsed


def _with_hour_24(parsed: pl.Series, text: pl.Series, dtype: pl.Datetime, forms: Iterable[str]) -> pl.Series:
    """`parsed`, and where it is null and the text shows 24:00 in one of `forms`, 00:00 of the next day."""
    for form in forms if parsed.null_count() > text.null_count() else ():
        digits = _digits(form)
        if digits is None or digits.midnight is None:
            continue
        at = (parsed.is_null() & text.str.contains(digits.midnight).fill_null(value=False)).arg_true()
        if len(at):
            begun = _strptime(text[at].str.replace(digits.midnight, "${1}00${2}"), dtype, form)
            parsed = parsed.scatter(at, begun + DAY)
    return parsed


def _strptime(text: pl.Series, dtype: pl.Datetime, time_format: str) -> pl.Series:
    if "%H" in time_format and "%M" not in time_format:  # polars parses no hours without minutes
        text, time_format = text + " 0", time_format + " %M"
    if _AM_PM.search(time_format):
        text = text.str.replace(_A_OR_P, "${1}${2}m${3}")
    return text.str.strptime(dtype, time_format, strict=False)


def _without_t(text: pl.Series) -> pl.Series:
    return text.str.replace("T", " ", literal=True)


def _with_z(text: pl.Series) -> pl.Series:
    """The text with Z in place of the other names of UTC."""
    return _without_t(text.str.replace(r"\s*(?:UTC|GMT|z)$", "Z"))


def _nulls(text: pl.Series, dtype: pl.Datetime) -> pl.Series:
    return pl.repeat(None, len(text), dtype=dtype, eager=True)


_COMPOSITE = {"%T": "%H:%M:%S", "%R": "%H:%M", "%F": "%Y-%m-%d", "%D": "%m/%d/%y"}
_DIRECTIVE = re.compile(r"%[-_0]?\.?\d?[:#]*[A-Za-z]|[\s]+|.", re.DOTALL)
_WIDTHS = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%e": 2, "%H": 2, "%k": 2, "%M": 2, "%S": 2, "%j": 3}
_OTHERS = {"%b": r"\pL+\.?", "%B": r"\pL+\.?", "%h": r"\pL+\.?", "%a": r"\pL+\.?", "%A": r"\pL+\.?", "%f": r"\d+"}
_OTHERS |= {
    "%.f": r"(?:\.\d+)?",
    "%z": r"[+-]\d\d:?\d\d",
    "%:z": r"[+-]\d\d:?\d\d",
    "%#z": r"(?:Z|[+-]\d\d:?\d?\d?)",
    "%Z": r"\S+",
}
_ZEROS = {"%M": "00?", "%S": "00?", "%f": "0+", "%.f": r"(?:\.0+)?"}  # beside the hour 24


@dataclass(frozen=True)
class _Digits:
    """What regular expressions say of texts in one format. `midnight` finds the hour 24, between its two groups; None: no hour.

    `exact` matches texts whose digits can be cut in one way only. `clock` finds hours, minutes and perhaps seconds that stand
    without a separator, between its first and third group, and `clock_width` is the number of its digits.
    """

    midnight: str | None
    exact: str | None
    clock: str | None
    clock_width: int

    def pad(self, text: pl.Series) -> pl.Series:
        """The texts with leading zeros before a clock that lacks them; null where digits could be cut in several ways."""
        if self.clock:
            before, clock, after = (text.str.extract(self.clock, group) for group in (1, 2, 3))
            text = (before + clock.str.zfill(self.clock_width) + after).zip_with(clock.is_not_null(), text)
        if self.exact:
            text = text.set(~text.str.contains(self.exact).fill_null(value=True), None)
        return text


@cache
def _digits(time_format: str) -> _Digits | None:
    """What is known about a format; None if it has a directive whose text is not known here."""
    for composite, parts in _COMPOSITE.items():
        time_format = time_format.replace(composite, parts)
    tokens = _DIRECTIVE.findall(time_format)
    if any(token.startswith("%") and token not in {*_WIDTHS, *_OTHERS} for token in tokens):
        return None
    runs = [list(run) for is_run, run in groupby(tokens, lambda token: token in _WIDTHS) if is_run]
    clock = next((run for run in runs if run[0] == "%H" and len(run) > 1), None)
    return _Digits(
        midnight=_midnight(tokens) if "%H" in tokens else None,
        exact=_whole(tokens) if any(map(_needs_all, runs)) else None,
        clock=_clock(tokens, clock) if clock else None,
        clock_width=sum(_WIDTHS[part] for part in clock or ()),
    )


def _midnight(tokens: list[str]) -> str:
    at = tokens.index("%H")
    parts = [_ZEROS.get(token) or _pattern(token) for token in tokens]
    return f"^({''.join(_pattern(token) for token in tokens[:at])})24({''.join(parts[at + 1 :])})$"


def _whole(tokens: list[str]) -> str:
    """Texts in which numbers without a separator have all their digits."""
    pattern: list[str] = []
    for is_run, run in groupby(tokens, lambda token: token in _WIDTHS):
        parts = list(run)
        pattern += [_exactly(part) for part in parts] if is_run and _needs_all(parts) else map(_pattern, parts)
    return f"^{''.join(pattern)}$"


def _needs_all(run: list[str]) -> bool:
    """Whether numbers in a row could be cut in several ways if one lacked a digit; a year has four."""
    return len([part for part in run if part != "%Y"]) > 1


def _exactly(part: str) -> str:
    return rf"\d{{{_WIDTHS[part]}}}"


def _clock(tokens: list[str], clock: list[str]) -> str:
    at = next(place for place in range(len(tokens)) if tokens[place : place + len(clock)] == clock)
    before, after = ("".join(_pattern(token) for token in part) for part in (tokens[:at], tokens[at + len(clock) :]))
    return rf"^({before})(\d{{1,{sum(_WIDTHS[part] for part in clock) - 1}}})({after})$"


def _pattern(token: str) -> str:
    """What matches the text of one directive, or a literal."""
    if token in _WIDTHS:
        return r"[+-]?\d{4}" if _WIDTHS[token] == 4 else rf"\s*\d{{1,{_WIDTHS[token]}}}"
    return _OTHERS.get(token) or (r"\s+" if token.isspace() else re.escape(token))
