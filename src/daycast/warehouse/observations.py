"""Reading what is believed of the network."""

from datetime import datetime

import duckdb
import polars as pl

from daycast.warehouse.statements import statement


def read_versions(con: duckdb.DuckDBPyConnection, since: datetime, until: datetime, as_of: datetime) -> pl.DataFrame:
    """Every version of the observations of the hours [since, until], both included, that was known by `as_of`.

    A version that was replaced only after `as_of` has no known_until. Ordered by station, hour and known_from.
    """
    return con.sql(statement("select_versions"), params={"since": since, "until": until, "as_of": as_of}).pl()


def read_extent(con: duckdb.DuckDBPyConnection, as_of: datetime) -> tuple[datetime | None, datetime | None]:
    """The first and the last hour with an observation known by `as_of`; None and None where there is none."""
    first, last = con.sql(statement("select_extent"), params={"as_of": as_of}).pl().row(0)
    return first, last


def read_stations(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The station list: station_id, latitude, longitude, elevation_m, by id."""
    return con.sql(statement("select_stations")).pl()
