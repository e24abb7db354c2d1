"""The source of kind "ghcnh": NOAA's Global Historical Climatology Network hourly, which replaces ISD.

Station positions come from NOAA's list ghcnh-station-list.csv, or from the rows of a station's own file. The format of the
reports is in ghcnh_reports.py.
"""

import gzip
import re
import zlib
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from daycast.sources.files.csv_table import parse_table
from daycast.sources.noaa.archive import NoaaArchive
from daycast.sources.noaa.ghcnh_reports import BAD_QUALITY_CODES, QualityCodes, column_names, read_ghcnh, split_fields
from daycast.sources.noaa.station_years import Reports, StationYear, read_lines
from daycast.sources.streams import MAX_LINE_BYTES
from daycast.sources.tables.values import parse_number, strip_missing
from daycast.stations import STATION_SCHEMA

_LIST_COLUMNS = {
    "station_id": "GHCN_ID",
    "name": "NAME",
    "latitude": "LATITUDE",
    "longitude": "LONGITUDE",
    "elevation_m": "ELEVATION",
}
_ROW_COLUMNS = {
    "station_id": "station",
    "name": "station_name",
    "latitude": "latitude",
    "longitude": "longitude",
    "elevation_m": "elevation",
}
_NO_ELEVATION = -999.0  # and below; NOAA writes -999.9 if it is unknown


def read_station_list(content: bytes, origin: str) -> pl.DataFrame:
    """The stations (STATION_SCHEMA) in NOAA's list. Raises SourceError naming `origin` for a file that is no such list."""
    table = parse_table(content, ",", _LIST_COLUMNS.values(), origin)
    texts = table.select(pl.col(column).alias(field) for field, column in _LIST_COLUMNS.items())
    return _stations(texts)


def read_first_rows(paths: list[Path]) -> pl.DataFrame:
    """The stations (STATION_SCHEMA) from the first row of each file; the last file of a station wins. Bad files are skipped."""
    rows = [dict(zip(*pair, strict=False)) for pair in map(_header_and_row, paths) if pair]
    texts = {field: [row.get(column) for row in rows] for field, column in _ROW_COLUMNS.items()}
    return _stations(pl.DataFrame(texts, schema=dict.fromkeys(_ROW_COLUMNS, pl.String)))


def _header_and_row(path: Path) -> tuple[list[str], list[str]] | None:
    reader = gzip.open if path.suffix == ".gz" else open
    try:
        with reader(path, "rt", encoding="utf-8-sig", errors="replace") as file:
            header, row = file.readline(MAX_LINE_BYTES), file.readline(MAX_LINE_BYTES)
    except (OSError, EOFError, zlib.error):  # reading the reports of the same file reports the problem
        return None
    return (column_names(header), split_fields(row)) if row.strip() else None


def _stations(texts: pl.DataFrame) -> pl.DataFrame:
    latitude, longitude, elevation = (_number(field) for field in ("latitude", "longitude", "elevation_m"))
    placed = (latitude.abs() <= 90) & (longitude.abs() <= 180) & ((latitude != 0) | (longitude != 0))
    return (
        texts.select(
            strip_missing(pl.col("station_id"), ()),
            strip_missing(pl.col("name"), ()),
            latitude=pl.when(placed).then(latitude),
            longitude=pl.when(placed).then(longitude),
            elevation_m=pl.when(elevation > _NO_ELEVATION).then(elevation),
        )
        .filter(pl.col("station_id").is_not_null())
        .unique("station_id", keep="last", maintain_order=True)
        .select(STATION_SCHEMA.keys())
    )


def _number(field: str) -> pl.Expr:
    return parse_number(strip_missing(pl.col(field), ()), ".")


ARCHIVE = "https://www.ncei.noaa.gov/oa/global-historical-climatology-network/hourly"
_STATION_LIST = "ghcnh-station-list.csv"


class GhcnhSource(NoaaArchive):
    """A `[[sources]]` table of kind "ghcnh": files GHCNh_STATION_YEAR.psv, plain or gzip, in a folder or at NOAA.

    A folder may also hold files of all years, GHCNh_STATION_por.psv. Stations have GHCN names of eleven characters, for
    example USW00094846. Every report is a reading at its own minute. Only hourly totals of precipitation are used, from the
    last routine report of the hour; a trace counts as 0 mm.

    A value whose quality code is one of `bad_quality_codes` counts as missing: it is nowhere in the warehouse, only in
    NOAA's file. The codes are single letters or digits, by the number of the source of a value, or "any"; configured codes
    replace the default.
    """

    reader_version: ClassVar[int] = 1
    file_name: ClassVar[re.Pattern[str]] = re.compile(
        r"GHCNh_(?P<station>[A-Za-z0-9_-]{11})_(?P<year>\d{4}|por)\.psv(\.gz)?"
    )
    station_form: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9_-]{11}")
    ended: ClassVar[str] = "the station seems to have closed, or to report under another name: see NOAA's station list"

    kind: Literal["ghcnh"] = "ghcnh"
    archive: str = ARCHIVE
    bad_quality_codes: QualityCodes = Field(default_factory=lambda: dict(BAD_QUALITY_CODES))

    def address(self, station: str, year: int) -> str:
        """The address of a station-year in the archive."""
        return f"{self.archive.rstrip('/')}/access/by-year/{year}/psv/GHCNh_{station}_{year}.psv"

    def read(self, content: bytes, station_year: StationYear) -> Reports:
        """The reports in the file of a station-year. Raises SourceError if it is no such table."""
        return read_ghcnh(read_lines(content, station_year.origin), station_year, self.bad_quality_codes)

    def stations(self) -> pl.DataFrame:
        """The stations that are read (STATION_SCHEMA): from the list, or without one in the folder from the files themselves.

        Raises SourceError if the list cannot be read.
        """
        listed = self.read_station_list(_STATION_LIST, f"{self.archive.rstrip('/')}/doc/{_STATION_LIST}")
        if listed is None:
            return read_first_rows([path for _, path in self.files()])
        return read_station_list(*listed).filter(pl.col("station_id").is_in(self.stations_read()))
