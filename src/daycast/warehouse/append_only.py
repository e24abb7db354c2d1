"""Append-only tables: the four that grow without limit, and which of their rows changed since the last publication.

Whoever writes such a table calls `touch` in the same transaction; `publish` reads the touched ranges with `read_unpublished`.
"""

from dataclasses import dataclass

import duckdb
import polars as pl

from daycast.times import UTC_TIME
from daycast.warehouse.statements import statement
from daycast.warehouse.warehouse import frames, read_frame


@dataclass(frozen=True)
class AppendOnly:
    """How a growing table is divided into Parquet files."""

    column: str  # the time column that decides which file a row belongs to
    periods: tuple[str, ...]  # lengths of a file's time range as polars names them, coarsest first
    order: str  # the sort order within a file, as SQL


_MONTHS, _HOURS = ("1mo", "1d"), ("1mo", "1d", "1h")
APPEND_ONLY = {
    "forecasts": AppendOnly("issued_at", _HOURS, "variable, station_id, issued_at, lead_hours"),
    # not valid_on: a large network is verified in turns, and a day would be written again after each
    "scores": AppendOnly("scored_at", _HOURS, "variable, station_id, valid_on, lead_hours, model_id, forecaster"),
    "observation_versions": AppendOnly("observed_at", _MONTHS, "station_id, observed_at, known_from"),
    "external_forecasts": AppendOnly("issued_at", _MONTHS, "station_id, issued_at, valid_at, received_at"),
}


def touch(con: duckdb.DuckDBPyConnection, table: str, moments: pl.Series) -> None:
    """Record that rows with these values of the table's time column (UTC) were written or deleted.

    Times are rounded down to the table's finest period. Call inside the transaction that changes the rows.
    """
    finest = APPEND_ONLY[table].periods[-1]
    since = moments.cast(UTC_TIME).dt.truncate(finest).unique()
    touched = pl.DataFrame({"since": since, "until": since.dt.offset_by(finest)})
    with frames(con, touched=touched):
        con.execute(statement("insert_unpublished"), {"table_name": table})


def read_unpublished(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The ranges touched since the last publication: touch_id, table_name, since, until (exclusive)."""
    return read_frame(con, "select_unpublished")
