"""Station-years: where they are, and which of them are new.

`FolderStore` finds them as files in a folder. `ArchiveStore` finds them on the web and asks only for what may have changed.
Both implement `StationYearStore`. `Reports` is what a file becomes once it is read.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from daycast.errors import SourceError, listed
from daycast.sources.batch import Problem, fingerprint
from daycast.sources.http.client import Client
from daycast.sources.streams import DamagedError, decompressed, limited, read_bytes, whole_lines
from daycast.times import FIRST_TIME, LAST_TIME, UTC_TIME

# precipitation too small to measure; daycast counts anything below 0.05 mm as none (variables.py)
TRACE_MM = 0.0
MAX_BYTES = 512 * 2**20  # of one file, decompressed; as much as a busy station reports in a century
_MAX_LINES = 5_000_000  # a report every ten minutes for 95 years


@dataclass(frozen=True, slots=True)
class StationYear:
    """Which one, and where: `origin` is its name in the folder or its address; `year` None means all years of the station."""

    station: str
    year: int | None
    origin: str


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A station-year that is new to us, and the fingerprint of its SourceBatch.

    `content` is None if the only news is that we have asked: a batch without rows then tells that to the next run.
    """

    content: bytes | None
    fingerprint: str


@dataclass(frozen=True)
class Reports:
    """The rows of a station-year, read.

    `values` has observed_at (null if it cannot be read) and a Float64 column for each variable, in daycast's units. `raw`
    has the same rows as they were written. `problems` say what is wrong with which rows, `bad_values` values that cannot be read.
    """

    values: pl.DataFrame
    raw: pl.DataFrame
    problems: list[Problem]
    bad_values: list[Problem] = field(default_factory=list)


def no_reports() -> Reports:
    """A station-year without rows."""
    return Reports(pl.DataFrame(schema={"observed_at": UTC_TIME}), pl.DataFrame(schema={"line": pl.String}), [])


class StationYearStore(Protocol):
    """Where station-years are: a folder or an archive."""

    def find(self, first: int | None, last: int) -> list[StationYear]:
        """What to ask for, by station and year: years `first` (None: the very first) to `last`, both included."""

    def fetch(self, station_year: StationYear) -> FetchedFile | None:
        """One station-year; None if there is none or it is known. Raises SourceError if it cannot be read."""

    def describe_missing(self) -> str | None:
        """A line about what was never found, valid after all were fetched; None if everything was found."""

    def ended(self) -> dict[str, str]:
        """The stations, found so far, that have files and none of the newest year; with a line about each that says so."""


def read_lines(content: bytes, origin: str) -> pl.Series:
    """The lines of a text, plain or gzip, without line breaks and blank lines, as a series called "line".

    Raises SourceError naming `origin` for an empty file, a gzip file that is damaged or ends too early, a file that is no
    text, and for more bytes or lines, or a longer line, than the limits allow.
    """
    plain = _decompressed(content, origin)
    if plain.count(b"\n") > _MAX_LINES:
        raise SourceError(f"{origin} has more than {_MAX_LINES:,} lines, the limit: get the files of single years")
    if not plain.strip():
        raise SourceError(f"{origin} is empty: a line for each report was expected")
    if b"\x00" in plain[:1024]:
        raise SourceError(f"{origin} is not text (it begins with {plain[:8]!r})")
    text = plain.decode("utf-8-sig", errors="replace")
    lines = pl.Series("line", [text]).str.split("\n").explode().str.strip_chars_end("\r")
    return lines.filter(lines.str.strip_chars() != "")


def instant(text: pl.Expr, form: str) -> pl.Expr:
    """The instant (UTC_TIME) that `text` shows in the strptime format `form`, in UTC; null if it shows none."""
    read = text.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")
    return pl.when(read.dt.year().is_between(FIRST_TIME.year, LAST_TIME.year - 1)).then(read)


def is_of_another_year(observed_at: pl.Series, year: int | None) -> pl.Series:
    """True for known instants that are not of `year`; False everywhere if `year` is None."""
    of_year = pl.lit(value=True) if year is None else pl.lit(observed_at).dt.year() == year
    return pl.select(pl.lit(observed_at).is_not_null() & ~of_year).to_series()


def _decompressed(content: bytes, origin: str) -> bytes:
    try:
        return b"".join(whole_lines(limited(decompressed(BytesIO(content)), origin, MAX_BYTES), origin))
    except DamagedError:
        raise SourceError(f"{origin} is a damaged or incomplete gzip file; fetch or copy it again") from None


class FolderStore:
    """The files in `folder` and below whose name matches `file_name`, a pattern with the groups `station` and `year`.

    `stations` empty means all of them. `read_as` stands for everything that decides how a file is read. `seen` has the
    fingerprints of known files.
    """

    def __init__(
        self, folder: Path, file_name: re.Pattern[str], stations: Collection[str], read_as: str, seen: Collection[str]
    ) -> None:
        self.folder, self._file_name, self._stations = folder, file_name, stations
        self._read_as, self._seen = read_as, seen
        self._missing: list[str] = []

    def find(self, first: int | None, last: int) -> list[StationYear]:
        """The files of these years, by station and year. Raises SourceError if the folder has no station-year at all."""
        station_years = self.files()
        if not station_years:
            raise SourceError(
                f"no station-year is in {self.folder.resolve()}: their names match {self._file_name.pattern}"
            )
        known = {station_year.station for station_year in station_years}
        self._missing = [station for station in self._stations if station not in known]
        return [
            station_year
            for station_year in station_years
            if station_year.year is None or (first or station_year.year) <= station_year.year <= last
        ]

    def files(self) -> list[StationYear]:
        """The files of all years, by station and year; a file that holds all years comes last."""
        station_years = []
        for path in self.folder.rglob("*"):
            match = self._file_name.fullmatch(path.name)
            if match and path.is_file() and (not self._stations or match["station"] in self._stations):
                year = int(match["year"]) if match["year"].isdigit() else None
                station_years.append(StationYear(match["station"], year, path.relative_to(self.folder).as_posix()))
        return sorted(
            station_years,
            key=lambda station_year: (station_year.station, station_year.year or 9999, station_year.origin),
        )

    def fetch(self, station_year: StationYear) -> FetchedFile | None:
        """The file, None if it was read before. Raises SourceError if it cannot be read."""
        content = read_bytes(self.folder / station_year.origin, station_year.origin, MAX_BYTES)
        reading = {"read_as": self._read_as, "station": station_year.station, "year": station_year.year}
        file_fingerprint = fingerprint(content, reading)
        return None if file_fingerprint in self._seen else FetchedFile(content, file_fingerprint)

    def describe_missing(self) -> str | None:
        """The configured stations that have no file."""
        return f"no file in {self.folder.resolve()} belongs to {listed(self._missing)}" if self._missing else None

    def ended(self) -> dict[str, str]:
        """None: whoever filled the folder knows what is in it."""
        return {}


# NOAA appends to a year's file daily and has the last reports within days. Anything later is a correction, which
# `daycast ingest --since` asks for.
CLOSED_AFTER = timedelta(weeks=6)  # after the end of the year
RETRY_ABSENT_AFTER = timedelta(weeks=1)  # an absent year is asked for again after this
_FIRST_FILE_AFTER = timedelta(weeks=2)  # of a year: a file that is not there by then is missed
_HASH = "sha256:"  # begins the name of a version if the server gives none
_UNCHANGED, _ABSENT = "unchanged", "absent"  # responses without a file; part of fingerprints


class Version(NamedTuple):
    """One ingested version of a file; `name` is its ETag or Last-Modified, by which the server recognises it."""

    number: int  # from 1
    name: str


@dataclass
class _Known:
    """What earlier runs learned about a station-year."""

    versions: list[Version] = field(default_factory=list)
    checked: list[date] = field(default_factory=list)  # days on which the server sent the file, or had it unchanged
    absent: list[date] = field(default_factory=list)  # days on which the server had no file


class ArchiveStore:
    """The station-years of `stations` at the addresses that `address` gives, as of `now`.

    The fingerprint of a batch is plain text: the address, `read_as`, the number of the version, and the version's name. So
    the fingerprints in `seen` tell the newest version we know, and the server is asked for what changed since. Once a year
    is closed, the number is followed by the day it was asked for, as in "3@2026-02-20", and the year is not asked for again,
    unless `refetch`. A response without a file gives a batch without rows, with "unchanged@DAY" or "absent@DAY" instead of
    the number.
    """

    def __init__(
        self,
        client: Client,
        address: Callable[[str, int], str],
        stations: Collection[str],
        read_as: str,
        seen: Collection[str],
        now: datetime,
        *,
        refetch: bool,
    ) -> None:
        self._client, self._address, self._stations, self._read_as = client, address, stations, read_as
        self._now, self._refetch = now, refetch
        self._known = _known(seen)
        self._years = range(0)
        self._years_without_file: Counter[str] = Counter()  # by station
        self._absent: list[StationYear] = []  # that the server has not, and never had
        self._newest_year: dict[str, int] = {}  # of which there is a file, by station

    def find(self, first: int | None, last: int) -> list[StationYear]:
        """Every year of every station that may have news, the newest year of each station first.

        `first` is required, because nothing tells when a station began.
        """
        assert first is not None  # noqa: S101 (the settings demand it)
        self._years = range(first, last + 1)
        station_years = [
            StationYear(station, year, self._address(station, year))
            for station in self._stations
            for year in reversed(self._years)
        ]
        for station_year in station_years:
            if self._known_of(station_year).versions:
                self._note_file(station_year)
        due = [station_year for station_year in station_years if self._refetch or not self._is_done_with(station_year)]
        self._years_without_file = Counter(station_year.station for station_year in station_years) - Counter(
            station_year.station for station_year in due
        )
        return due

    def fetch(self, station_year: StationYear) -> FetchedFile | None:
        """The file on the server; None if it has none, or none that is new. Raises SourceError if the server does not answer."""
        known = sorted(self._known_of(station_year).versions)
        newest = known[-1].name if known and not known[-1].name.startswith(_HASH) else None
        body = self._client.get_bytes(station_year.origin, validator=newest, missing_ok=True)
        if body is None:
            self._years_without_file[station_year.station] += 1
            if not known:
                self._absent.append(station_year)
            return self._fetched(station_year, None, _UNCHANGED if known else _ABSENT, "-")
        self._note_file(station_year)
        name = body.validator or _HASH + sha256(body.content).hexdigest()
        if known and name == known[-1].name:  # an older version that came back is a new one
            return self._fetched(station_year, None, _UNCHANGED, "-")
        return self._fetched(station_year, body.content, str(known[-1].number + 1 if known else 1), name)

    def describe_missing(self) -> str | None:
        """The stations of which the archive never had a file."""
        once = {address for (address, _), known in self._known.items() if known.versions}
        never = [
            station
            for station, years in self._years_without_file.items()
            if years == len(self._years) and not any(station in address for address in once)
        ]
        if not never:
            return None
        example = self._address(never[0], self._years[-1])
        return f"the archive has no file of {listed(never)} since {self._years[0]}, for example at {example}"

    def ended(self) -> dict[str, str]:
        """The stations that have files, and none of the newest year though one can be expected; with a line about each."""
        year = self._years[-1] if self._years else 0
        if not year or self._now < datetime(year, 1, 1, tzinfo=UTC) + _FIRST_FILE_AFTER:
            return {}
        return {
            station: f"the archive has nothing of {station} for {year} ({origin}, 404), although it has its {newest}"
            for station, origin in ((one.station, one.origin) for one in self._absent if one.year == year)
            if (newest := self._newest_year.get(station)) is not None
        }

    def _note_file(self, station_year: StationYear) -> None:
        station, year = station_year.station, station_year.year or 0
        self._newest_year[station] = max(self._newest_year.get(station, year), year)

    def _known_of(self, station_year: StationYear) -> _Known:
        return self._known.get((station_year.origin, self._read_as), _Known())

    def _is_closed(self, station_year: StationYear, moment: datetime) -> bool:
        """Whether at `moment` the year was over for so long that its file was complete."""
        return (
            station_year.year is not None and moment >= datetime(station_year.year + 1, 1, 1, tzinfo=UTC) + CLOSED_AFTER
        )

    def _is_done_with(self, station_year: StationYear) -> bool:
        """Whether the file was asked for after the year was closed, or was absent a few days ago.

        Days in the future are ignored: the clock was wrong then.
        """
        known, today = self._known_of(station_year), self._now.date()
        checked = [day for day in known.checked if day <= today and self._is_closed(station_year, _midnight(day))]
        absent = [day for day in known.absent if timedelta(0) <= today - day < RETRY_ABSENT_AFTER]
        return bool(checked or absent)

    def _fetched(self, station_year: StationYear, content: bytes | None, version: str, name: str) -> FetchedFile | None:
        """The file with its fingerprint; None for a response without a file that need not be remembered."""
        closed = self._is_closed(station_year, _midnight(self._now.date()))
        if content is None and not closed:
            return None
        day = f"@{self._now.date()}" if closed else ""
        return FetchedFile(content, f"{station_year.origin} {self._read_as} {version}{day} {name}")


def _known(seen: Collection[str]) -> dict[tuple[str, str], _Known]:
    """What the fingerprints tell, by address and `read_as`."""
    known: dict[tuple[str, str], _Known] = defaultdict(_Known)
    for text in seen:
        parts = text.split(" ", 3)
        if len(parts) < 4:
            continue
        of, (version, _, day) = known[parts[0], parts[1]], parts[2].partition("@")
        if version.isdigit():
            of.versions.append(Version(int(version), parts[3]))
        if day:
            (of.absent if version == _ABSENT else of.checked).append(date.fromisoformat(day))
    return known


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
