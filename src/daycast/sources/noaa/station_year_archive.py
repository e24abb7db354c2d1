"""Station-years in an archive on the web, where only what may have changed is asked for."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from daycast.sources.http.client import Client
from daycast.sources.nearest import listed
from daycast.sources.noaa.station_year import Found, StationYear

# NOAA appends to the file of a year daily and has the last reports within days; what comes later is a correction, which
# `daycast ingest --since` asks for
CLOSED_AFTER = timedelta(weeks=6)  # the end of a year
ABSENT_FOR = timedelta(weeks=1)  # until a year that was not there is asked for again
_HASH = "sha256:"  # how a version is called whose server gives it no name
_UNCHANGED, _ABSENT = "unchanged", "absent"  # what an answer without a file is called


class Version(NamedTuple):
    """One version of a file that was taken in; `name` is its ETag or Last-Modified, so that the server knows it again."""

    number: int  # from 1
    name: str


@dataclass
class _Known:
    """What earlier runs learned of a station-year."""

    versions: list[Version] = field(default_factory=list)
    asked: list[date] = field(default_factory=list)  # when the file was had, or was the one we had
    absent: list[date] = field(default_factory=list)


class ArchiveShelf:
    """The station-years of `stations` at the addresses that `address` gives them, as of `now`.

    The fingerprint of a piece is clear text: its address, `read_as`, the number of the version and its name. So those in
    `seen` tell which version is the newest we know, and the server is asked for what has changed since. Once a year is closed the
    number is followed by the day it was asked for, as "3@2026-02-20", and the year is not asked for again, unless `again`;
    an answer without a file is a piece without rows, of which "unchanged@DAY" or "absent@DAY" stands in place of the number.
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
        again: bool,
    ) -> None:
        self._client, self._address, self._stations, self._read_as = client, address, stations, read_as
        self._now, self._again = now, again
        self._known = _known(seen)
        self._years = range(0)
        self._brought_nothing: Counter[str] = Counter()  # years of a station

    def find(self, first: int | None, last: int) -> list[StationYear]:
        """Every year of every station that may have something new; `first` is needed, as nothing says where a station begins."""
        assert first is not None  # noqa: S101 (the settings demand it)
        self._years = range(first, last + 1)
        pieces = [
            StationYear(station, year, self._address(station, year))
            for station in self._stations
            for year in self._years
        ]
        due = [piece for piece in pieces if self._again or not self._is_done_with(piece)]
        self._brought_nothing = Counter(piece.station for piece in pieces) - Counter(piece.station for piece in due)
        return due

    def take(self, piece: StationYear) -> Found | None:
        """What the server has of it; None where it has none, or none that is new. Raises SourceError if it does not answer."""
        known = sorted(self._known_of(piece).versions)
        newest = known[-1].name if known and not known[-1].name.startswith(_HASH) else None
        body = self._client.get_bytes(piece.origin, validator=newest, missing_ok=True)
        if body is None:
            self._brought_nothing[piece.station] += 1
            return self._found(piece, None, _UNCHANGED if known else _ABSENT, "-")
        name = body.validator or _HASH + sha256(body.content).hexdigest()
        if name in (version.name for version in known):
            return self._found(piece, None, _UNCHANGED, "-")
        return self._found(piece, body.content, str(known[-1].number + 1 if known else 1), name)

    def complaint(self) -> str | None:
        """The stations of which the archive never had anything."""
        once = {address for (address, _), known in self._known.items() if known.versions}
        never = [
            station
            for station, years in self._brought_nothing.items()
            if years == len(self._years) and not any(station in address for address in once)
        ]
        if not never:
            return None
        example = self._address(never[0], self._years[-1])
        return f"the archive has nothing of {listed(never)} since {self._years[0]}, as at {example}"

    def _known_of(self, piece: StationYear) -> _Known:
        return self._known.get((piece.origin, self._read_as), _Known())

    def _is_closed(self, piece: StationYear, moment: datetime) -> bool:
        """Whether by `moment` the year was so long over that its file was complete."""
        return piece.year is not None and moment >= datetime(piece.year + 1, 1, 1, tzinfo=UTC) + CLOSED_AFTER

    def _is_done_with(self, piece: StationYear) -> bool:
        """Whether the file was had since the year was closed, or was not there a few days ago.

        Answers of days that lie ahead count for nothing: the clock was wrong then.
        """
        known, today = self._known_of(piece), self._now.date()
        asked = [day for day in known.asked if day <= today and self._is_closed(piece, _midnight(day))]
        absent = [day for day in known.absent if timedelta(0) <= today - day < ABSENT_FOR]
        return bool(asked or absent)

    def _found(self, piece: StationYear, content: bytes | None, what: str, name: str) -> Found | None:
        """The piece with its fingerprint; None for an answer without a file that need not be remembered."""
        closed = self._is_closed(piece, _midnight(self._now.date()))
        if content is None and not closed:
            return None
        day = f"@{self._now.date()}" if closed else ""
        return Found(content, f"{piece.origin} {self._read_as} {what}{day} {name}")


def _known(seen: Collection[str]) -> dict[tuple[str, str], _Known]:
    """What the fingerprints say, by address and reading."""
    known: dict[tuple[str, str], _Known] = defaultdict(_Known)
    for text in seen:
        parts = text.split(" ", 3)
        if len(parts) < 4:
            continue
        of, (what, _, day) = known[parts[0], parts[1]], parts[2].partition("@")
        if what.isdigit():
            of.versions.append(Version(int(what), parts[3]))
        if day:
            (of.absent if what == _ABSENT else of.asked).append(date.fromisoformat(day))
    return known


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
