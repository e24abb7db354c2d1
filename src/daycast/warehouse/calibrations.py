"""The calibrations of models: what was learned of each as its forecasts were verified."""

from datetime import datetime

import duckdb
import polars as pl

from daycast.warehouse.connect import frames, read_frame, transaction
from daycast.warehouse.statements import statement


def replace_calibrations(
    con: duckdb.DuckDBPyConnection, model_id: str, calibrated_at: datetime, calibrated: pl.DataFrame
) -> None:
    """Write the calibrations of a model that hold from a moment on, in place of those that were learned at that very moment.

    calibrated: the other columns of `calibrations`.
    """
    key = {"model_id": model_id, "calibrated_at": calibrated_at}
    named = calibrated.with_columns(pl.lit(value).alias(name) for name, value in key.items())
    with frames(con, calibrated=named), transaction(con):
        con.execute(statement("delete_calibrations"), key)
        con.execute(statement("insert_calibrations"))


def read_calibrations(con: duckdb.DuckDBPyConnection, model_id: str, as_of: datetime) -> pl.DataFrame:
    """The rows of `calibrations` of a model that held at a moment: one for each forecaster and variable, or none."""
    return read_frame(con, "select_calibrations", model_id=model_id, as_of=as_of)
