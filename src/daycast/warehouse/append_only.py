"""The tables that grow without limit, and which of their rows were written since they were last published."""

from dataclasses import dataclass

import duckdb
import polars as pl

from daycast.times import UTC_TIME
from daycast.warehouse.statements import statement
from daycast.warehouse.warehouse import frames, read_frame


@dataclass(frozen=True)
class AppendOnly:
    """A table that grows: the column that tells its rows' time, in which periods it is divided, and how its files are sorted."""

    column: str
    periods: tuple[str, ...]  # as polars names them, coarsest first; what is touched is touched by the finest
    order: str


_MONTHS, _HOURS = ("1mo", "1d"), ("1mo", "1d", "1h")
APPEND_ONLY = {
    "forecasts": AppendOnly("issued_at", _HOURS, "variable, station_id, issued_at, lead_hours"),
    "scores": AppendOnly("valid_on", _MONTHS, "variable, station_id, valid_on, lead_hours, model_id, forecaster"),
    "observation_versions": AppendOnly("observed_at", _MONTHS, "station_id, observed_at, known_from"),
    "external_forecasts": AppendOnly("issued_at", _MONTHS, "station_id, issued_at, valid_at, received_at"),
}


def touch(con: duckdb.DuckDBPyConnection, table: str, moments: pl.Series) -> None:
    """Note that rows of these moments, by the table's column of time, were written or deleted.

    Call inside the transaction that does so.
    """
    finest = APPEND_ONLY[table].periods[-1]
    since = moments.cast(UTC_TIME).dt.truncate(finest).unique()
    touched = pl.DataFrame({"since": since, "until": since.dt.offset_by(finest)})
    with frames(con, touched=touched):
        con.execute(statement("insert_unpublished"), {"table_name": table})


def read_unpublished(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """What was touched since the last publication: touch_id, table_name, since, until (left out)."""
    return read_frame(con, "select_unpublished")
