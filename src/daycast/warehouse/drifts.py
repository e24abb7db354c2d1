"""The drifts of the champion, and the scores they are found in."""

from dataclasses import asdict
from datetime import date, datetime

import duckdb
import polars as pl

from daycast.verify.drift import Drift
from daycast.warehouse.connect import frames, read_frame, transaction
from daycast.warehouse.statements import statement

_DRIFT = {
    "variable": pl.String(),
    "measure": pl.String(),
    "rival": pl.String(),
    "observed": pl.Float64(),
    "bound": pl.Float64(),
    "p_value": pl.Float64(),
    "days": pl.Int64(),
    "since": pl.Date(),
    "until": pl.Date(),
}


def read_daily_scores(
    con: duckdb.DuckDBPyConnection, model_id: str, promoted_at: datetime, since: date, until: date
) -> pl.DataFrame:
    """Daily scores of a model and the baselines beside it, from the first whole day after its promotion on."""
    return read_frame(con, "select_daily_scores", model_id=model_id, promoted_at=promoted_at, since=since, until=until)


def read_judged_crps(con: duckdb.DuckDBPyConnection, model_id: str) -> dict[tuple[str, str], float]:
    """By variable and forecaster, the CRPS of a model's judgement over all leads."""
    rows = read_frame(con, "select_judged_crps", model_id=model_id).iter_rows()
    return {(variable, forecaster): crps for variable, forecaster, crps in rows}


def read_drifts(con: duckdb.DuckDBPyConnection) -> tuple[Drift, ...]:
    """The champion's drifts; none once another champion was promoted."""
    return tuple(Drift(**row) for row in read_frame(con, "select_drift").to_dicts())


def add_drifts(con: duckdb.DuckDBPyConnection, drifts: list[Drift], model_id: str, now: datetime) -> None:
    """Note drifts of a model, found now."""
    rows = pl.DataFrame([asdict(one) for one in drifts], schema=_DRIFT)
    with frames(con, drifted=rows.with_columns(model_id=pl.lit(model_id), found_at=pl.lit(now))), transaction(con):
        con.execute(statement("insert_drifts"))
