"""Station-years as files in a folder."""

import re
from collections.abc import Collection
from pathlib import Path

from daycast.errors import SourceError
from daycast.sources.bounded import read_bytes
from daycast.sources.nearest import listed
from daycast.sources.noaa.station_year import MOST_BYTES, Found, StationYear
from daycast.sources.tables.fingerprint import fingerprint


class FolderShelf:
    """The files in `folder` and below whose name matches `named`, a pattern with the groups `station` and `year`.

    `stations` empty means all of them. `read_as` is all that decides how a file is read, `seen` holds the fingerprints of
    the known ones.
    """

    def __init__(
        self, folder: Path, named: re.Pattern[str], stations: Collection[str], read_as: str, seen: Collection[str]
    ) -> None:
        self.folder, self._named, self._stations = folder, named, stations
        self._read_as, self._seen = read_as, seen
        self._missing: list[str] = []

    def find(self, first: int | None, last: int) -> list[StationYear]:
        """The files of these years, by station and year; raises SourceError where the folder has no station-year at all."""
        there = self.files()
        if not there:
            raise SourceError(
                f"no station-year lies in {self.folder.resolve()}: their names match {self._named.pattern}"
            )
        present = {piece.station for piece in there}
        self._missing = [station for station in self._stations if station not in present]
        return [piece for piece in there if piece.year is None or (first or piece.year) <= piece.year <= last]

    def files(self) -> list[StationYear]:
        """The files of all years, by station and year, one that holds all years last."""
        pieces = []
        for path in self.folder.rglob("*"):
            match = self._named.fullmatch(path.name)
            if match and path.is_file() and (not self._stations or match["station"] in self._stations):
                year = int(match["year"]) if match["year"].isdigit() else None
                pieces.append(StationYear(match["station"], year, path.relative_to(self.folder).as_posix()))
        return sorted(pieces, key=lambda piece: (piece.station, piece.year or 9999, piece.origin))

    def take(self, piece: StationYear) -> Found | None:
        """The file, None where it was read before; raises SourceError where it cannot be read."""
        content = read_bytes(self.folder / piece.origin, piece.origin, MOST_BYTES)
        reading = {"read_as": self._read_as, "station": piece.station, "year": piece.year}
        read_before = fingerprint(content, reading)
        return None if read_before in self._seen else Found(content, read_before)

    def complaint(self) -> str | None:
        """The stations asked for that have no file."""
        return f"no file in {self.folder.resolve()} is of {listed(self._missing)}" if self._missing else None
