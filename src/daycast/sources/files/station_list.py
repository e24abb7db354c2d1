"""A station list as a CSV file, which any source can have beside its readings."""

from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from daycast.errors import SourceError
from daycast.sources.files.csv_table import parse_table
from daycast.sources.files.layout import Separator
from daycast.sources.streams import UNREADABLE, Encoding, read_bytes
from daycast.sources.tables.columns import padded
from daycast.sources.tables.values import parse_number, strip_missing
from daycast.stations import STATION_SCHEMA

_LIMITS = {"latitude": 90.0, "longitude": 180.0, "elevation_m": 9000.0}


class StationList(BaseModel):
    """The file and its columns. A column that is neither named here nor in the file is unknown for all stations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    separator: Separator = ","
    encoding: Encoding | None = None  # None: detected, see streams.py
    station: str = "station_id"
    name: str = "name"
    latitude: str = "latitude"  # degrees north
    longitude: str = "longitude"  # degrees east
    elevation_m: str = "elevation_m"  # metres

    def read(self, folder: Path, missing: tuple[str, ...], decimal: str, width: int | None = None) -> pl.DataFrame:
        """The stations (STATION_SCHEMA); `file` is relative to `folder`, `missing`, `decimal` and
        `width` (of station ids, see `padded`) are those of the source.

        Raises SourceError naming a missing column, a station that is listed twice or has unreadable characters, or a
        position that is not on Earth.
        """
        content = read_bytes(folder / Path(self.file).expanduser(), self.file)
        named = [
            self.station,
            *(getattr(self, field) for field in sorted(self.model_fields_set & STATION_SCHEMA.keys())),
        ]
        table = parse_table(content, self.separator, named, self.file, self.encoding)
        texts = table.select(
            strip_missing(pl.col(column), missing).alias(field)
            if column in table.columns
            else pl.lit(None, pl.String).alias(field)
            for field, column in self._columns().items()
        ).filter(pl.col("station_id").is_not_null())
        texts = texts.with_columns(padded(pl.col("station_id"), width))
        self._validate_ids(texts["station_id"])
        return texts.with_columns(self._coordinate(texts, field, decimal) for field in _LIMITS)

    def _columns(self) -> dict[str, str]:
        """Columns of the file by name in STATION_SCHEMA, in its order."""
        return {field: self.station if field == "station_id" else getattr(self, field) for field in STATION_SCHEMA}

    def _validate_ids(self, ids: pl.Series) -> None:
        garbled = ids.filter(ids.str.contains(UNREADABLE, literal=True))
        if not garbled.is_empty():
            raise SourceError(
                f"{self.file} lists station {garbled[0]!r}, which has bytes that are not text: "
                "correct them, or set station_list.encoding"
            )
        repeated = ids.filter(ids.is_duplicated())
        if not repeated.is_empty():
            raise SourceError(f"{self.file} lists station {repeated[0]!r} more than once")

    def _coordinate(self, texts: pl.DataFrame, field: str, decimal: str) -> pl.Series:
        values = texts.select(parse_number(pl.col(field), decimal).alias(field)).to_series()
        wrong = texts.filter(pl.col(field).is_not_null() & (values.is_null() | (values.abs() > _LIMITS[field])))
        if not wrong.is_empty():
            row = wrong.row(0, named=True)
            raise SourceError(
                f"{self.file}: station {row['station_id']!r} has {field} {row[field]!r}, which is not a valid number"
            )
        return values
