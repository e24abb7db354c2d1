"""A station-year: one file with what one station reported in one year, as NOAA's archives of surface reports are cut."""

from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

import polars as pl

from daycast.errors import SourceError
from daycast.sources.bounded import DamagedError, counted, unpacked, whole_lines
from daycast.sources.tables.problems import Complaint
from daycast.times import FIRST_TIME, LAST_TIME, UTC_TIME

# rain too little to measure: daycast counts anything below 0.05 mm as none (variables.py)
TRACE_MM = 0.0
MOST_BYTES = 512 * 2**20  # of one file, unpacked; a busy station of a century has as much
_MOST_LINES = 5_000_000  # a report every ten minutes for 95 years


@dataclass(frozen=True, slots=True)
class StationYear:
    """Where one lies: `origin` is its name in the folder or its address; `year` None means all years of the station."""

    station: str
    year: int | None
    origin: str


@dataclass(frozen=True, slots=True)
class Found:
    """A station-year that is new to us, as it came, and the fingerprint of its Delivery.

    `content` is None where all that is new is that we have asked: the Delivery without rows lets the next run know.
    """

    content: bytes | None
    fingerprint: str


@dataclass(frozen=True)
class Reports:
    """The rows of a station-year, read.

    `values` has observed_at (null where it cannot be read) and a Float64 column for each variable, in daycast's units; `raw`
    has the same rows as they came; `complaints` say what is wrong with which of them.
    """

    values: pl.DataFrame
    raw: pl.DataFrame
    complaints: list[Complaint]


def no_reports() -> Reports:
    """A station-year without rows."""
    return Reports(pl.DataFrame(schema={"observed_at": UTC_TIME}), pl.DataFrame(schema={"line": pl.String}), [])


class Shelf(Protocol):
    """Where station-years lie: a folder or an archive."""

    def find(self, first: int | None, last: int) -> list[StationYear]:
        """What to ask for, of the years `first` (None: the very first) to `last`, both included, by station and year."""

    def take(self, piece: StationYear) -> Found | None:
        """One of them; None where there is none or it is known. Raises SourceError where it cannot be had."""

    def complaint(self) -> str | None:
        """What was looked for in vain, said once all were taken; None where nothing was."""


def read_lines(content: bytes, origin: str) -> pl.Series:
    """The lines of a text, plain or gzip, without line breaks and blank lines, under the name "line".

    Raises SourceError naming `origin` for an empty file, a gzip file that is damaged or ends too early, what is no text, and
    more bytes or lines, or a longer one, than is ever read.
    """
    plain = _unpacked(content, origin)
    if plain.count(b"\n") > _MOST_LINES:
        raise SourceError(
            f"{origin} has more than {_MOST_LINES:,} lines, the most that is read: get the files of single years"
        )
    if not plain.strip():
        raise SourceError(f"{origin} is empty: a line for each report was expected")
    if b"\x00" in plain[:1024]:
        raise SourceError(f"{origin} is no text (it begins with {plain[:8]!r})")
    text = plain.decode("utf-8-sig", errors="replace")
    lines = pl.Series("line", [text]).str.split("\n").explode().str.strip_chars_end("\r")
    return lines.filter(lines.str.strip_chars() != "")


def instant(text: pl.Expr, form: str) -> pl.Expr:
    """The instant (UTC_TIME) that `text` names in the form `form` of strftime, in UTC; null where it names none."""
    read = text.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")
    return pl.when(read.dt.year().is_between(FIRST_TIME.year, LAST_TIME.year - 1)).then(read)


def is_of_another_year(observed_at: pl.Series, year: int | None) -> pl.Series:
    """Which instants, as far as they are known, are not of `year`; none where that is None."""
    of_year = pl.lit(value=True) if year is None else pl.lit(observed_at).dt.year() == year
    return pl.select(pl.lit(observed_at).is_not_null() & ~of_year).to_series()


def _unpacked(content: bytes, origin: str) -> bytes:
    try:
        return b"".join(whole_lines(counted(unpacked(BytesIO(content)), origin, MOST_BYTES), origin))
    except DamagedError:
        raise SourceError(f"{origin} is a damaged or incomplete gzip file; fetch or copy it again") from None
