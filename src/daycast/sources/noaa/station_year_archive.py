"""Station-years in an archive on the web, where only what has changed is fetched again."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from hashlib import sha256
from typing import NamedTuple

from daycast.sources.http.client import Client
from daycast.sources.nearest import listed
from daycast.sources.noaa.station_year import Found, StationYear

_HASH = "sha256:"  # how a version is called whose server gives it no name


class Version(NamedTuple):
    """One version of a file that was taken in; `name` is its ETag or Last-Modified, so that the server knows it again."""

    number: int  # from 1
    name: str


class ArchiveShelf:
    """The station-years of `stations` at the addresses that `address` gives them.

    The fingerprint of a piece is clear text: its address, `read_as`, the number of the version and its name. So those in
    `seen` tell which version is the newest we know, and the server is asked for what has changed since.
    """

    def __init__(
        self,
        client: Client,
        address: Callable[[str, int], str],
        stations: Collection[str],
        read_as: str,
        seen: Collection[str],
    ) -> None:
        self._client, self._address, self._stations, self._read_as = client, address, stations, read_as
        self._known: dict[tuple[str, str], list[Version]] = defaultdict(list)
        for text in seen:
            parts = text.split(" ", 3)
            if len(parts) == 4 and parts[2].isdigit():
                self._known[parts[0], parts[1]].append(Version(int(parts[2]), parts[3]))
        self._years = range(0)
        self._brought_nothing: Counter[str] = Counter()  # years of a station

    def find(self, first: int | None, last: int) -> list[StationYear]:
        """Every year of every station, whether it is there or not; `first` is needed, as nothing says where a station begins."""
        assert first is not None  # noqa: S101 (the settings demand it)
        self._years = range(first, last + 1)
        return [
            StationYear(station, year, self._address(station, year))
            for station in self._stations
            for year in self._years
        ]

    def take(self, piece: StationYear) -> Found | None:
        """What the server has of it; None where it has none, or none that is new. Raises SourceError if it does not answer."""
        known = sorted(self._known.get((piece.origin, self._read_as), []))
        newest = known[-1].name if known and not known[-1].name.startswith(_HASH) else None
        body = self._client.get_bytes(piece.origin, validator=newest, missing_ok=True)
        if body is None:
            self._brought_nothing[piece.station] += 1
            return None
        name = body.validator or _HASH + sha256(body.content).hexdigest()
        if name in (version.name for version in known):
            return None
        number = known[-1].number + 1 if known else 1
        return Found(body.content, f"{piece.origin} {self._read_as} {number} {name}")

    def complaint(self) -> str | None:
        """The stations of which the archive never had anything."""
        once = {address for address, _ in self._known}
        never = [
            station
            for station, years in self._brought_nothing.items()
            if years == len(self._years) and not any(station in address for address in once)
        ]
        if not never:
            return None
        example = self._address(never[0], self._years[-1])
        return f"the archive has nothing of {listed(never)} since {self._years[0]}, as at {example}"
