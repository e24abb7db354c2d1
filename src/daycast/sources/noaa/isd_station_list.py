"""NOAA's list of the stations in the Integrated Surface Database, isd-history.csv."""

import polars as pl

from daycast.sources.tables.csv_file import parse_table
from daycast.sources.tables.text_values import parse_number, present

_COLUMNS = ("USAF", "WBAN", "STATION NAME", "LAT", "LON", "ELEV(M)", "END")
_NO_ELEVATION = -999.0  # and below: the list writes -999 and -999.9


def read_isd_history(content: bytes, origin: str) -> pl.DataFrame:
    """The stations (STATION_SCHEMA), called USAF-WBAN; of one listed twice the entry that was in use last.

    A position of 0° 0° is none, as the list writes it where the position is unknown. Raises SourceError naming `origin` for what
    is no such list.
    """
    table = parse_table(content, ",", _COLUMNS, origin)
    latitude, longitude, elevation = (_number(column) for column in ("LAT", "LON", "ELEV(M)"))
    unplaced = ((latitude == 0) & (longitude == 0)) | (latitude.abs() > 90) | (longitude.abs() > 180)
    placed = latitude.is_not_null() & longitude.is_not_null() & ~unplaced
    return (
        table.sort("END", nulls_last=False, maintain_order=True)
        .select(
            station_id=pl.format("{}-{}", pl.col("USAF").str.strip_chars(), pl.col("WBAN").str.strip_chars()),
            name=present(pl.col("STATION NAME"), ()),
            latitude=pl.when(placed).then(latitude),
            longitude=pl.when(placed).then(longitude),
            elevation_m=pl.when(elevation > _NO_ELEVATION).then(elevation),
        )
        .filter(pl.col("station_id").is_not_null())
        .unique("station_id", keep="last", maintain_order=True)
        .sort("station_id")
    )


def _number(column: str) -> pl.Expr:
    """The number in a column, which has a sign even where it is positive."""
    return parse_number(pl.col(column).str.strip_chars().str.strip_prefix("+"), ".")
