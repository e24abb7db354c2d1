"""Where a CSV file says when: one column of text, or year, month, day and hour apart."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict

from daycast.sources.tables.calendar import within_calendar

_WALL = pl.Datetime("us")
_INSTANT = pl.Datetime("us", "UTC")
_ISO_WALL = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_ISO_INSTANT = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
_NAMES_INSTANT = re.compile(r"%(?:[:#]*z|s|\+)")  # an offset, or seconds since 1970
_PROBE = datetime(2001, 2, 13, 14, 0, tzinfo=UTC)


def parse_wall(text: pl.Series, time_format: str | None) -> pl.Series:
    """The naive time in `text`, in `time_format` (None: ISO 8601); null where it shows none or names its offset.

    Null, too, where it is beyond the calendar; the same holds for instants.
    """
    return within_calendar(_parse(text, time_format, _WALL))


def parse_instant(text: pl.Series, time_format: str | None) -> pl.Series:
    """The instant [UTC] that `text` names by an offset from UTC or in seconds since 1970; null where it names none."""
    return within_calendar(_parse(text, time_format, _INSTANT))


def is_beyond_calendar(text: pl.Series, time_format: str | None) -> pl.Series:
    """Where `text` shows a time in this form, of a year that is read as none."""
    beyond = pl.repeat(False, len(text), eager=True)
    for dtype in (_WALL, _INSTANT):
        parsed = _parse(text, time_format, dtype)
        beyond |= parsed.is_not_null() & within_calendar(parsed).is_null()
    return beyond


def _parse(text: pl.Series, time_format: str | None, dtype: pl.Datetime) -> pl.Series:
    if time_format is None:
        return _parse_iso(text, dtype, _ISO_INSTANT if dtype == _INSTANT else _ISO_WALL)
    if (_NAMES_INSTANT.search(time_format) is None) == (dtype == _INSTANT):
        return _nothing(text, dtype)
    return text.to_frame("text").select(_strptime(pl.col("text"), dtype, time_format)).to_series()


def _parse_iso(text: pl.Series, dtype: pl.Datetime, forms: Iterable[str]) -> pl.Series:
    """By the first of `forms` that fits each; the later ones are tried only while something is left."""
    found = _nothing(text, dtype)
    for spelling in (_without_t, _with_z):
        for form in forms:
            if found.null_count() > text.null_count():
                found = found.zip_with(found.is_not_null(), spelling(text).str.strptime(dtype, form, strict=False))
    return found


def _without_t(text: pl.Series) -> pl.Series:
    return text.str.replace("T", " ", literal=True)


def _with_z(text: pl.Series) -> pl.Series:
    """The same with Z for the other words for UTC."""
    return _without_t(text.str.replace(r"\s*(?:UTC|GMT|z)$", "Z"))


def _nothing(text: pl.Series, dtype: pl.Datetime) -> pl.Series:
    return pl.repeat(None, len(text), dtype=dtype, eager=True)


def _strptime(text: pl.Expr, dtype: pl.Datetime, time_format: str) -> pl.Expr:
    if "%H" in time_format and "%M" not in time_format:  # polars wants minutes with its hours
        text, time_format = text + " 0", time_format + " %M"
    return text.str.strptime(dtype, time_format, strict=False)


def _validate_format(time_format: str) -> str:
    """Return the format if it reads back the day it wrote; raise ValueError if not."""
    zone = "UTC" if _NAMES_INSTANT.search(time_format) else None
    probe = pl.Series([_PROBE]).dt.replace_time_zone(zone)
    try:
        written = probe.dt.strftime(time_format).to_frame("text")
        read = written.select(_strptime(pl.col("text"), pl.Datetime("us", zone), time_format)).item()
    except pl.exceptions.PolarsError:
        read = None
    if read is None or read.date() != _PROBE.date():
        raise ValueError(f"{time_format!r} is no format of a date and time: write for example '%d.%m.%Y %H:%M'")
    return time_format


class TimeColumn(BaseModel):
    """One column of text in ISO 8601 or in `format`; an offset from UTC in it wins over the source's time zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    format: Annotated[str, AfterValidator(_validate_format)] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that are read."""
        return (self.column,)

    @property
    def form(self) -> str:
        """What the text should look like, for a person."""
        return self.format or "ISO 8601"

    def as_written(self) -> pl.Expr:
        """The text to read."""
        return pl.col(self.column).str.strip_chars()


class TimeParts(BaseModel):
    """A column each for year, month, day, hour and perhaps minute, all whole numbers; hours count from 0 to 23."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    year: str
    month: str
    day: str
    hour: str
    minute: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that are read."""
        parts = (self.year, self.month, self.day, self.hour)
        return parts if self.minute is None else (*parts, self.minute)

    @property
    def format(self) -> str:
        """How `as_written` is read."""
        return "%Y %m %d %H" if self.minute is None else "%Y %m %d %H %M"

    @property
    def form(self) -> str:
        """What the text should look like, for a person."""
        return "year month day hour" if self.minute is None else "year month day hour minute"

    def as_written(self) -> pl.Expr:
        """The parts in a row; a missing one leaves too few to read."""
        parts = [pl.col(column).str.strip_chars() for column in self.columns]
        return pl.concat_str(parts, separator=" ", ignore_nulls=True)
