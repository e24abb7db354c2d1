"""The source of kind "isd_lite": hourly reports of some 30,000 stations since 1901, one file for each station and year.

Lines have fixed columns of whole numbers, most of them tenths. Format: NOAA, Integrated Surface Data - Lite, Format
Documentation, 20 June 2006, https://www.ncei.noaa.gov/pub/data/noaa/isd-lite/isd-lite-format.txt

Order: the lines, NOAA's list of stations (isd-history.csv), the source.
"""

import re
from typing import ClassVar, Literal

import polars as pl

from daycast.sources.batch import Problem
from daycast.sources.files.csv_table import parse_table
from daycast.sources.noaa.archive import NoaaArchive
from daycast.sources.noaa.station_years import TRACE_MM, Reports, StationYear, instant, is_of_another_year, read_lines
from daycast.sources.tables.values import parse_number, strip_missing
from daycast.stations import STATION_SCHEMA

_LENGTH = 61  # characters of a line
_MISSING = -9999
_TRACE = -1
_CALM = 0  # as a direction; wind from the north is 360
_TIME_LENGTH = 13  # "2024 01 31 23"
_WIDTH = 6  # characters of every further field
_FIELDS = (
    "air_temperature_c",  # in tenths, as all except the direction
    "dew_point_c",
    "sea_level_pressure_hpa",
    "wind_from_deg",
    "wind_speed_m_s",
    "sky condition",  # not used
    "precipitation_mm",  # of the hour that ends then
    "precipitation of 6 h",  # not used: it counts the same hours again
)


def read_isd_lite(lines: pl.Series, year: int | None) -> Reports:
    """The reports in `lines` of one station, all of which should be of `year`; times are UTC, on the hour."""
    text = lines.str.strip_chars_end()
    time = text.str.slice(0, _TIME_LENGTH)
    observed = pl.select(instant(pl.lit(time) + " 00", "%Y %m %d %H %M")).to_series()
    numbers = _numbers(text)
    malformed = (text.str.len_chars() != _LENGTH) | numbers.select(pl.any_horizontal(pl.all().is_null())).to_series()
    no_time = ~malformed & observed.is_null()
    other_year = is_of_another_year(observed, year)
    return Reports(
        values=_values(numbers).insert_column(0, observed.alias("observed_at")),
        raw=lines.to_frame("line"),
        problems=[
            Problem("line", malformed, lines, f"no line of ISD-Lite, which has 12 numbers on {_LENGTH} characters"),
            Problem("line", no_time, time, "no such time"),
            Problem("line", other_year, time, f"not of {year}, which the file is named after"),
        ],
    )


def _numbers(text: pl.Series) -> pl.DataFrame:
    """_FIELDS as whole numbers, null where there is none; each stands at the right edge of its columns."""
    fields = (
        text.str.slice(_TIME_LENGTH + _WIDTH * index, _WIDTH)
        .str.strip_chars_start()
        .cast(pl.Int32, strict=False)
        .alias(name)
        for index, name in enumerate(_FIELDS)
    )
    return pl.DataFrame(list(fields))


def _values(numbers: pl.DataFrame) -> pl.DataFrame:
    """The variables [daycast's units], null where missing."""
    tenths = pl.col("air_temperature_c", "dew_point_c", "sea_level_pressure_hpa", "wind_speed_m_s")
    rain, direction = pl.col("precipitation_mm"), pl.col("wind_from_deg")
    strip_missing = numbers.with_columns(pl.when(pl.all() != _MISSING).then(pl.all()))
    return strip_missing.select(
        _from_tenths(tenths),
        pl.when(direction != _CALM).then(direction).cast(pl.Float64),
        pl.when(rain == _TRACE).then(TRACE_MM).otherwise(_from_tenths(rain)).alias("precipitation_mm"),
    )


def _from_tenths(number: pl.Expr) -> pl.Expr:
    """Rounded, because polars multiplies by 0.1, and 61 tenths must be the same 6.1 as from any other source."""
    return (number / 10).round(1)


_COLUMNS = ("USAF", "WBAN", "STATION NAME", "LAT", "LON", "ELEV(M)", "END")
_NO_ELEVATION = -999.0  # and below: the list writes -999 and -999.9


def read_isd_history(content: bytes, origin: str) -> pl.DataFrame:
    """The stations (STATION_SCHEMA), named USAF-WBAN; if one is listed twice, the entry that was in use last.

    A position of 0° 0° counts as unknown, because the list writes that for unknown positions. Raises SourceError naming
    `origin` for a file that is no such list.
    """
    table = parse_table(content, ",", _COLUMNS, origin)
    latitude, longitude, elevation = (_number(column) for column in ("LAT", "LON", "ELEV(M)"))
    unplaced = ((latitude == 0) & (longitude == 0)) | (latitude.abs() > 90) | (longitude.abs() > 180)
    placed = latitude.is_not_null() & longitude.is_not_null() & ~unplaced
    return (
        table.sort("END", nulls_last=False, maintain_order=True)
        .select(
            station_id=pl.format("{}-{}", pl.col("USAF").str.strip_chars(), pl.col("WBAN").str.strip_chars()),
            name=strip_missing(pl.col("STATION NAME"), ()),
            latitude=pl.when(placed).then(latitude),
            longitude=pl.when(placed).then(longitude),
            elevation_m=pl.when(elevation > _NO_ELEVATION).then(elevation),
        )
        .filter(pl.col("station_id").is_not_null())
        .unique("station_id", keep="last", maintain_order=True)
        .sort("station_id")
    )


def _number(column: str) -> pl.Expr:
    """The number in a column; positive numbers have a sign there too."""
    return parse_number(pl.col(column).str.strip_chars().str.strip_prefix("+"), ".")


ARCHIVE = "https://www.ncei.noaa.gov/pub/data/noaa/isd-lite"
_STATION_LIST = "isd-history.csv"


class IsdLiteSource(NoaaArchive):
    """A `[[sources]]` table of kind "isd_lite": files USAF-WBAN-YEAR, plain or gzip, in a folder or at NOAA.

    Stations are named USAF-WBAN, for example 010010-99999. Air temperature, dew point, sea-level pressure, wind and hourly
    precipitation are read; a trace of precipitation counts as 0 mm, and calm air has no direction. Six-hour totals are not
    used. Positions come from NOAA's station list: `isd-history.csv` in the folder, or beside the archive.
    """

    reader_version: ClassVar[int] = 1
    file_name: ClassVar[re.Pattern[str]] = re.compile(r"(?P<station>[A-Z0-9]\d{5}-\d{5})-(?P<year>\d{4})(\.gz)?")
    station_form: ClassVar[re.Pattern[str]] = re.compile(r"[A-Z0-9]\d{5}-\d{5}")
    ended: ClassVar[str] = 'ISD-Lite seems to have ended; kind = "ghcnh" takes its place, with the station\'s GHCN name'

    kind: Literal["isd_lite"] = "isd_lite"
    archive: str = ARCHIVE

    def address(self, station: str, year: int) -> str:
        """The address of a station-year in the archive."""
        return f"{self.archive.rstrip('/')}/{year}/{station}-{year}.gz"

    def read(self, content: bytes, station_year: StationYear) -> Reports:
        """The reports in the file of a station-year. Raises SourceError if it is not text."""
        return read_isd_lite(read_lines(content, station_year.origin), station_year.year)

    def stations(self) -> pl.DataFrame:
        """The stations that are read and that the list has (STATION_SCHEMA); empty without a list.

        Raises SourceError if the list cannot be read.
        """
        beside = f"{self.archive.rstrip('/').rpartition('/')[0]}/{_STATION_LIST}"
        listed = self.read_station_list(_STATION_LIST, beside)
        if listed is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return read_isd_history(*listed).filter(pl.col("station_id").is_in(self.stations_read()))
