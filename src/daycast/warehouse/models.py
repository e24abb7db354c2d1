"""The drifts of the champion, and the scores they are found in."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Literal

import duckdb
import polars as pl

from daycast.errors import ModelError
from daycast.evaluation.drift import Drift
from daycast.evaluation.serving import Fallback
from daycast.warehouse.statements import statement
from daycast.warehouse.warehouse import insert, read_frame, transaction

# The register of models: who is champion, who was, and why.


_FALLBACKS = {
    "variable": pl.String(),
    "station_id": pl.String(),
    "forecaster": pl.String(),
    "crps_ratio": pl.Float64(),
    "p_value": pl.Float64(),
    "days": pl.Int64(),
}


@dataclass(frozen=True)
class ModelEntry:
    """A model as it is registered; `checkpoint` is a file name in the folder of checkpoints."""

    model_id: str
    forecaster: str
    checkpoint: str
    data_hash: str
    trained_until: datetime
    registered_at: datetime
    reason: str
    decision: str  # JSON


@dataclass(frozen=True)
class ModelRow:
    """A row of `models`."""

    model_id: str
    forecaster: str
    checkpoint: str  # a file name in the folder of checkpoints
    data_hash: str
    trained_until: datetime
    registered_at: datetime
    role: Literal["champion", "challenger", "retired"]
    promoted_at: datetime | None
    reason: str
    decision: str  # JSON
    promoted_by: str | None


def register_model(
    con: duckdb.DuckDBPyConnection,
    entry: ModelEntry,
    judged: pl.DataFrame,
    fallbacks: Sequence[Fallback] = (),
    *,
    promote: bool,
) -> None:
    """Register a model with its judgement, in place of what stood under its id; the champion changes in the same transaction.

    judged: the columns of `holdout_scores` but model_id; substitutes: the baselines that serve in its place, and where.
    """
    chosen = pl.DataFrame([asdict(one) for one in fallbacks], schema=_FALLBACKS)
    of_model = pl.lit(entry.model_id)
    with transaction(con):
        for name in ("delete_model", "delete_holdout_scores", "delete_fallbacks"):
            con.execute(statement(name), {"model_id": entry.model_id})
        con.execute(statement("insert_model"), asdict(entry))
        insert(con, "holdout_scores", judged.with_columns(model_id=of_model))
        insert(con, "fallbacks", chosen.with_columns(model_id=of_model))
        if promote:
            _promote(con, entry.model_id, entry.registered_at, "holdout")


def read_fallbacks(con: duckdb.DuckDBPyConnection, model_id: str) -> tuple[Fallback, ...]:
    """The baselines that serve in the place of a model, and where."""
    return tuple(Fallback(**row) for row in read_frame(con, "select_fallbacks", model_id=model_id).to_dicts())


def read_holdout_scores(con: duckdb.DuckDBPyConnection, model_id: str) -> pl.DataFrame:
    """The rows of `holdout_scores` of a model: each forecaster's scores by variable and lead."""
    return read_frame(con, "select_holdout_scores", model_id=model_id)


def read_champion(con: duckdb.DuckDBPyConnection) -> ModelRow | None:
    """The champion, or None where nothing serves yet."""
    rows = read_frame(con, "select_champion").to_dicts()
    return ModelRow(**rows[0]) if rows else None


def read_champions_until(con: duckdb.DuckDBPyConnection, moment: datetime) -> list[ModelRow]:
    """Those who were champion at `moment` or before, the newest first; one comes as often as it was."""
    return [ModelRow(**row) for row in read_frame(con, "select_champions_until", until=moment).to_dicts()]


def read_models(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The register, oldest first."""
    return read_frame(con, "select_models")


def find_model(con: duckdb.DuckDBPyConnection, model_id: str) -> ModelRow:
    """The model with this id. Raises ModelError naming the ids there are."""
    models = read_models(con)
    rows = models.filter(pl.col("model_id") == model_id).to_dicts()
    if not rows:
        there = ", ".join(models["model_id"]) or "none"
        raise ModelError(f"there is no model {model_id!r}; registered are: {there}")
    return ModelRow(**rows[0])


def promote_model(
    con: duckdb.DuckDBPyConnection, model_id: str, now: datetime, by: Literal["hand", "rollback"] = "hand"
) -> None:
    """Make a registered model the champion by hand; its judgement stays as it is. Raises ModelError where it is not there."""
    find_model(con, model_id)
    with transaction(con):
        _promote(con, model_id, now, by)


def read_previous_champion(con: duckdb.DuckDBPyConnection) -> str:
    """The id of the champion before this one. Raises ModelError where there was none."""
    rows = read_frame(con, "select_previous_champion")
    if rows.is_empty():
        raise ModelError("there was no champion before this one: nothing to roll back to")
    return str(rows.item())


def rollback_model(con: duckdb.DuckDBPyConnection, now: datetime) -> str:
    """Make the champion before this one champion again and return its id. Raises ModelError where there was none."""
    model_id = read_previous_champion(con)
    promote_model(con, model_id, now, "rollback")
    return model_id


def _promote(con: duckdb.DuckDBPyConnection, model_id: str, now: datetime, by: str) -> None:
    con.execute(statement("retire_champion"))
    promotion = {"model_id": model_id, "promoted_at": now, "promoted_by": by}
    con.execute(statement("promote_model"), promotion)
    con.execute(statement("insert_promotion"), promotion)


# The calibrations of models: what was learned of each as its forecasts were verified.


def replace_calibrations(
    con: duckdb.DuckDBPyConnection, model_id: str, calibrated_at: datetime, calibrated: pl.DataFrame
) -> None:
    """Write the calibrations of a model that hold from a moment on, in place of those that were learned at that very moment.

    calibrated: the other columns of `calibrations`.
    """
    key = {"model_id": model_id, "calibrated_at": calibrated_at}
    named = calibrated.with_columns(pl.lit(value).alias(name) for name, value in key.items())
    with transaction(con):
        con.execute(statement("delete_calibrations"), key)
        insert(con, "calibrations", named)


def read_calibrations(con: duckdb.DuckDBPyConnection, model_id: str, as_of: datetime) -> pl.DataFrame:
    """The rows of `calibrations` of a model that held at a moment: one for each forecaster and variable, or none."""
    return read_frame(con, "select_calibrations", model_id=model_id, as_of=as_of)


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
    with transaction(con):
        insert(con, "drifts", rows.with_columns(model_id=pl.lit(model_id), found_at=pl.lit(now)))
