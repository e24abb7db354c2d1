"""Readings from ISD-Lite, NOAA's hourly reports of some 30,000 stations since 1901, one file a station and year."""

import re
from typing import ClassVar, Literal

import polars as pl

from daycast.sources.noaa.archive import NoaaArchive
from daycast.sources.noaa.isd_lite_lines import read_isd_lite
from daycast.sources.noaa.isd_station_list import read_isd_history
from daycast.sources.noaa.station_year import Reports, StationYear, read_lines
from daycast.stations import STATION_SCHEMA

ARCHIVE = "https://www.ncei.noaa.gov/pub/data/noaa/isd-lite"
_STATION_LIST = "isd-history.csv"


class IsdLiteSource(NoaaArchive):
    """A `[[sources]]` table of kind "isd_lite": files USAF-WBAN-YEAR, plain or gzip, in a folder or at NOAA.

    Stations are called USAF-WBAN, for example 010010-99999. Read are air temperature, dew point, sea-level pressure, wind and
    the precipitation of the hour, of which a trace counts as 0 mm; calm air has no direction. Totals of six hours are not used.
    NOAA's station list gives the positions: `isd-history.csv` in the folder, or its own beside the archive.
    """

    reader_version: ClassVar[int] = 1
    file_name: ClassVar[re.Pattern[str]] = re.compile(r"(?P<station>[A-Z0-9]\d{5}-\d{5})-(?P<year>\d{4})(\.gz)?")
    station_form: ClassVar[re.Pattern[str]] = re.compile(r"[A-Z0-9]\d{5}-\d{5}")

    kind: Literal["isd_lite"] = "isd_lite"
    archive: str = ARCHIVE

    def address(self, station: str, year: int) -> str:
        """Where the archive has a station-year."""
        return f"{self.archive.rstrip('/')}/{year}/{station}-{year}.gz"

    def read(self, content: bytes, piece: StationYear) -> Reports:
        """The reports in the file of a station-year; raises SourceError where it is no text."""
        return read_isd_lite(read_lines(content, piece.origin), piece.year)

    def stations(self) -> pl.DataFrame:
        """STATION_SCHEMA of those stations we read that the list has; empty without one.

        Raises SourceError where it cannot be read.
        """
        beside = f"{self.archive.rstrip('/').rpartition('/')[0]}/{_STATION_LIST}"
        listed = self.read_station_list(_STATION_LIST, beside)
        if listed is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return read_isd_history(*listed).filter(pl.col("station_id").is_in(self.stations_read()))
