"""Reading what is believed of the network."""

from datetime import datetime

import duckdb
import polars as pl

from daycast.warehouse.connect import read_frame


def read_versions(con: duckdb.DuckDBPyConnection, since: datetime, until: datetime, as_of: datetime) -> pl.DataFrame:
    """Every version of the observations of the hours [since, until], both included, that was known by `as_of`.

    A version that was replaced only after `as_of` has no known_until. Ordered by station, hour and known_from.
    """
    return read_frame(con, "select_versions", since=since, until=until, as_of=as_of)


def read_extent(con: duckdb.DuckDBPyConnection, as_of: datetime) -> tuple[datetime | None, datetime | None]:
    """The first and the last hour with an observation known by `as_of`; None and None where there is none."""
    first, last = read_frame(con, "select_extent", as_of=as_of).row(0)
    return first, last


def read_stations(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The station list: station_id, latitude, longitude, elevation_m, by id."""
    return read_frame(con, "select_stations")
