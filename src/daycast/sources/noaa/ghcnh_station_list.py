"""Where GHCNh stations are: in NOAA's list ghcnh-station-list.csv, or in every row of a station's own file."""

import gzip
import zlib
from pathlib import Path

import polars as pl

from daycast.sources.bounded import MOST_LINE
from daycast.sources.noaa.ghcnh_columns import column_names, split_fields
from daycast.sources.tables.csv_file import parse_table
from daycast.sources.tables.text_values import parse_number, present
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
_NO_ELEVATION = -999.0  # and below: NOAA writes -999.9 where it is unknown


def read_station_list(content: bytes, origin: str) -> pl.DataFrame:
    """The stations (STATION_SCHEMA) in NOAA's list; raises SourceError naming `origin` for what is no such list."""
    table = parse_table(content, ",", _LIST_COLUMNS.values(), origin)
    texts = table.select(pl.col(column).alias(field) for field, column in _LIST_COLUMNS.items())
    return _stations(texts)


def read_first_rows(paths: list[Path]) -> pl.DataFrame:
    """The stations (STATION_SCHEMA) as the first row of each file has them, of several the last; bad files say nothing."""
    rows = [dict(zip(*pair, strict=False)) for pair in map(_header_and_row, paths) if pair]
    texts = {field: [row.get(column) for row in rows] for field, column in _ROW_COLUMNS.items()}
    return _stations(pl.DataFrame(texts, schema=dict.fromkeys(_ROW_COLUMNS, pl.String)))


def _header_and_row(path: Path) -> tuple[list[str], list[str]] | None:
    reader = gzip.open if path.suffix == ".gz" else open
    try:
        with reader(path, "rt", encoding="utf-8-sig", errors="replace") as file:
            header, row = file.readline(MOST_LINE), file.readline(MOST_LINE)
    except (OSError, EOFError, zlib.error):  # the same file is read for its reports, and complained about then
        return None
    return (column_names(header), split_fields(row)) if row.strip() else None


def _stations(texts: pl.DataFrame) -> pl.DataFrame:
    latitude, longitude, elevation = (_number(field) for field in ("latitude", "longitude", "elevation_m"))
    placed = (latitude.abs() <= 90) & (longitude.abs() <= 180) & ((latitude != 0) | (longitude != 0))
    return (
        texts.select(
            present(pl.col("station_id"), ()),
            present(pl.col("name"), ()),
            latitude=pl.when(placed).then(latitude),
            longitude=pl.when(placed).then(longitude),
            elevation_m=pl.when(elevation > _NO_ELEVATION).then(elevation),
        )
        .filter(pl.col("station_id").is_not_null())
        .unique("station_id", keep="last", maintain_order=True)
        .select(STATION_SCHEMA.keys())
    )


def _number(field: str) -> pl.Expr:
    return parse_number(present(pl.col(field), ()), ".")
