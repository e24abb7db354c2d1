"""Readings from GHCNh, NOAA's Global Historical Climatology Network hourly, which takes the place of ISD."""

import re
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from daycast.sources.noaa.archive import NoaaArchive
from daycast.sources.noaa.ghcnh_quality import BAD_QUALITY_CODES, QualityCodes
from daycast.sources.noaa.ghcnh_reports import read_ghcnh
from daycast.sources.noaa.ghcnh_station_list import read_first_rows, read_station_list
from daycast.sources.noaa.station_year import Reports, StationYear, read_lines

ARCHIVE = "https://www.ncei.noaa.gov/oa/global-historical-climatology-network/hourly"
_STATION_LIST = "ghcnh-station-list.csv"


class GhcnhSource(NoaaArchive):
    """A `[[sources]]` table of kind "ghcnh": files GHCNh_STATION_YEAR.psv, plain or gzip, in a folder or at NOAA.

    In a folder they may also be those of all years, GHCNh_STATION_por.psv.

    Stations have GHCN names of eleven characters, for example USW00094846. Every report is a reading at its own minute. Of
    precipitation only the total of the hour is used, from the last routine report in it, a trace as 0 mm. A value
    whose quality code is one of `bad_quality_codes` is taken as missing: it is nowhere in the warehouse, only in NOAA's file.
    The codes are single letters or digits, by the number of the source of a value, or "any"; given ones replace the usual.
    """

    reader_version: ClassVar[int] = 1
    file_name: ClassVar[re.Pattern[str]] = re.compile(
        r"GHCNh_(?P<station>[A-Za-z0-9_-]{11})_(?P<year>\d{4}|por)\.psv(\.gz)?"
    )
    station_form: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9_-]{11}")

    kind: Literal["ghcnh"] = "ghcnh"
    archive: str = ARCHIVE
    bad_quality_codes: QualityCodes = Field(default_factory=lambda: dict(BAD_QUALITY_CODES))

    def address(self, station: str, year: int) -> str:
        """Where the archive has a station-year."""
        return f"{self.archive.rstrip('/')}/access/by-year/{year}/psv/GHCNh_{station}_{year}.psv"

    def read(self, content: bytes, piece: StationYear) -> Reports:
        """The reports in the file of a station-year; raises SourceError where it is no such table."""
        return read_ghcnh(read_lines(content, piece.origin), piece, self.bad_quality_codes)

    def stations(self) -> pl.DataFrame:
        """STATION_SCHEMA of those stations we read that the list or, without one in the folder, their own files tell of.

        Raises SourceError where the list cannot be read.
        """
        listed = self.read_station_list(_STATION_LIST, f"{self.archive.rstrip('/')}/doc/{_STATION_LIST}")
        if listed is None:
            return read_first_rows([path for _, path in self.files()])
        return read_station_list(*listed).filter(pl.col("station_id").is_in(self.stations_read()))
