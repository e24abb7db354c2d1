"""Others' forecasts for the stations: what is held of some issues, writing new ones, and reading what was known."""

from datetime import datetime

import duckdb
import polars as pl

from daycast.warehouse.connect import frames, read_frame
from daycast.warehouse.growing import touch
from daycast.warehouse.statements import statement


def read_issues_of(con: duckdb.DuckDBPyConnection, ranges: pl.DataFrame) -> pl.DataFrame:
    """What is held of the issues in `ranges`: station_id, since, until (both included), one row a station, at least one."""
    earliest, latest = ranges.select(pl.col("since").min(), pl.col("until").max()).row(0)
    with frames(con, ranges=ranges):
        return read_frame(con, "select_covariates_of_ranges", earliest=earliest, latest=latest)


def append_covariates(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    """Store rows of others' forecasts. Call inside the transaction that writes the account of their batches."""
    with frames(con, issues=rows):
        con.execute(statement("insert_covariates"))
    touch(con, "covariates", rows["issued_at"])


def read_covariates(con: duckdb.DuckDBPyConnection, since: datetime, until: datetime, as_of: datetime) -> pl.DataFrame:
    """Every row received by `as_of` of what others issued in [since, until], both included.

    station_id, issued_at, valid_at, received_at and a column a variable; the order does not depend on that of ingestion,
    but for rows of one receipt that contradict each other.
    """
    return read_frame(con, "select_covariates", since=since, until=until, as_of=as_of)


def count_covariates(con: duckdb.DuckDBPyConnection) -> tuple[int, int, datetime | None]:
    """How many rows there are, of how many stations, and when the newest was issued."""
    n, stations, newest = read_frame(con, "select_covariate_count").row(0)
    return n, stations, newest
