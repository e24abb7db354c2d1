"""Writing forecasts, and their scores once the truth came."""

import duckdb
import polars as pl

from daycast.warehouse.connect import frames, transaction
from daycast.warehouse.statements import statement


def replace_forecasts(con: duckdb.DuckDBPyConnection, served: pl.DataFrame) -> None:
    """Write forecasts in place of those of the same station, variable and hour of issue."""
    with frames(con, served=served), transaction(con):
        con.execute(statement("delete_forecasts"))
        con.execute(statement("insert_forecasts"))


def read_forecasts_to_score(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """All forecasts of the days on which a score is missing or out of date, and whose hour has been observed."""
    return con.sql(statement("select_forecasts_to_score")).pl()


def replace_scores(con: duckdb.DuckDBPyConnection, scored: pl.DataFrame) -> None:
    """Write scores in place of those of the same station and day of validity."""
    with frames(con, scored=scored), transaction(con):
        con.execute(statement("delete_scores"))
        con.execute(statement("insert_scores"))


def read_skill(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The champion and the baselines beside it, all leads together: verified if anything is, else as judged."""
    return con.sql(statement("select_skill")).pl()


def read_forecast_count(con: duckdb.DuckDBPyConnection) -> dict[str, object]:
    """The newest hour of issue, and how many stations, variables and rows the latest forecasts have."""
    return con.sql(statement("select_forecast_count")).pl().row(0, named=True)
