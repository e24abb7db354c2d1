"""The columns of the station list: who measures, and where."""

import polars as pl

STATION_SCHEMA: dict[str, pl.DataType] = {
    "station_id": pl.String(),
    "name": pl.String(),
    "latitude": pl.Float64(),  # degrees north, WGS84; null where unknown
    "longitude": pl.Float64(),  # degrees east, WGS84; null where unknown
    "elevation_m": pl.Float64(),  # metres above sea level; null where unknown
}


def unplaced_stations(station_ids: pl.Series) -> pl.DataFrame:
    """A station list with ids only, for networks without positions: one row for each different id, sorted, the rest null."""
    ids = station_ids.drop_nulls().unique().sort()
    empty = [pl.lit(None, dtype).alias(name) for name, dtype in STATION_SCHEMA.items() if name != "station_id"]
    return pl.DataFrame({"station_id": ids}, schema={"station_id": pl.String()}).with_columns(empty)
