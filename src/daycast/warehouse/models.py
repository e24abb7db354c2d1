"""The register of models: `models`, `promotions`, `holdout_scores`, `fallbacks`, `calibrations` and `drifts`.

Times are UTC. In the order of a model's life: register and promote it, calibrate it, notice that it has drifted.
"""

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

_FALLBACK_SCHEMA = {
    "variable": pl.String(),
    "station_id": pl.String(),
    "forecaster": pl.String(),
    "crps_ratio": pl.Float64(),
    "chance": pl.Float64(),
    "days": pl.Int64(),
}


_DRIFT_SCHEMA = {
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


@dataclass(frozen=True)
class ModelEntry:
    """A model to register."""

    model_id: str
    forecaster: str  # gru, lstm, … or the name of a baseline
    checkpoint: str  # a file name in the folder of checkpoints
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
    holdout_scores: pl.DataFrame,
    fallbacks: Sequence[Fallback] = (),
    *,
    promote: bool,
) -> None:
    """Register a model with its holdout scores and fallbacks, replacing what was registered under its id.

    holdout_scores: the columns of `holdout_scores` except model_id. fallbacks: the baselines that serve in the model's place.
    With `promote` it becomes the champion in the same transaction.
    """
    fallback_rows = pl.DataFrame([asdict(one) for one in fallbacks], schema=_FALLBACK_SCHEMA)
    of_model = pl.lit(entry.model_id)
    with transaction(con):
        for name in ("delete_model", "delete_holdout_scores", "delete_fallbacks"):
            con.execute(statement(name), {"model_id": entry.model_id})
        con.execute(statement("insert_model"), asdict(entry))
        insert(con, "holdout_scores", holdout_scores.with_columns(model_id=of_model))
        insert(con, "fallbacks", fallback_rows.with_columns(model_id=of_model))
        if promote:
            _promote(con, entry.model_id, entry.registered_at, "holdout")


def read_fallbacks(con: duckdb.DuckDBPyConnection, model_id: str) -> tuple[Fallback, ...]:
    """The baselines that serve in a model's place, with the variable and station of each."""
    return tuple(Fallback(**row) for row in read_frame(con, "select_fallbacks", model_id=model_id).to_dicts())


def read_holdout_scores(con: duckdb.DuckDBPyConnection, model_id: str) -> pl.DataFrame:
    """A model's rows of `holdout_scores`: the scores of each forecaster by variable and lead."""
    return read_frame(con, "select_holdout_scores", model_id=model_id)


def read_champion(con: duckdb.DuckDBPyConnection) -> ModelRow | None:
    """The champion; None if there is none yet."""
    rows = read_frame(con, "select_champion").to_dicts()
    return ModelRow(**rows[0]) if rows else None


def read_champions_until(con: duckdb.DuckDBPyConnection, moment: datetime) -> list[ModelRow]:
    """The champions up to `moment`, the newest promotion first; a model appears once for each of its promotions."""
    return [ModelRow(**row) for row in read_frame(con, "select_champions_until", until=moment).to_dicts()]


def read_models(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """All rows of `models`, oldest first."""
    return read_frame(con, "select_models")


def find_model(con: duckdb.DuckDBPyConnection, model_id: str) -> ModelRow:
    """The model with this id. Raises ModelError naming the registered ids."""
    models = read_models(con)
    rows = models.filter(pl.col("model_id") == model_id).to_dicts()
    if not rows:
        registered = ", ".join(models["model_id"]) or "none"
        raise ModelError(f"there is no model {model_id!r}; registered are: {registered}")
    return ModelRow(**rows[0])


def promote_model(
    con: duckdb.DuckDBPyConnection, model_id: str, now: datetime, by: Literal["hand", "rollback"] = "hand"
) -> None:
    """Make a registered model the champion by hand; its holdout scores stay. Raises ModelError if the id is unknown."""
    find_model(con, model_id)
    with transaction(con):
        _promote(con, model_id, now, by)


def read_previous_champion(con: duckdb.DuckDBPyConnection) -> str:
    """The id of the previous champion. Raises ModelError if there was none."""
    rows = read_frame(con, "select_previous_champion")
    if rows.is_empty():
        raise ModelError("there was no champion before this one: nothing to roll back to")
    return str(rows.item())


def rollback_model(con: duckdb.DuckDBPyConnection, now: datetime) -> str:
    """Make the previous champion the champion again, and return its id. Raises ModelError if there was none."""
    model_id = read_previous_champion(con)
    promote_model(con, model_id, now, "rollback")
    return model_id


def _promote(con: duckdb.DuckDBPyConnection, model_id: str, now: datetime, by: str) -> None:
    con.execute(statement("retire_champion"))
    promotion = {"model_id": model_id, "promoted_at": now, "promoted_by": by}
    con.execute(statement("promote_model"), promotion)
    con.execute(statement("insert_promotion"), promotion)


def replace_calibrations(
    con: duckdb.DuckDBPyConnection, model_id: str, calibrated_at: datetime, calibrated: pl.DataFrame
) -> None:
    """Write a model's calibrations that hold from `calibrated_at` on, replacing those of the same time.

    calibrated: the columns of `calibrations` except model_id and calibrated_at.
    """
    key = {"model_id": model_id, "calibrated_at": calibrated_at}
    named = calibrated.with_columns(pl.lit(value).alias(name) for name, value in key.items())
    with transaction(con):
        con.execute(statement("delete_calibrations"), key)
        insert(con, "calibrations", named)


def read_calibrations(con: duckdb.DuckDBPyConnection, model_id: str, as_of: datetime) -> pl.DataFrame:
    """A model's rows of `calibrations` that held at `as_of`: one for each forecaster and variable, or none."""
    return read_frame(con, "select_calibrations", model_id=model_id, as_of=as_of)


def read_daily_scores(
    con: duckdb.DuckDBPyConnection, model_id: str, promoted_at: datetime, since: date, until: date
) -> pl.DataFrame:
    """Daily scores of a model and its baselines in [since, until], from the first full UTC day after its promotion on.

    Columns: variable, forecaster, valid_on, n, crps (in the variable's unit), coverage_80.
    """
    return read_frame(con, "select_daily_scores", model_id=model_id, promoted_at=promoted_at, since=since, until=until)


def read_holdout_crps(con: duckdb.DuckDBPyConnection, model_id: str) -> dict[tuple[str, str], float]:
    """The holdout CRPS of a model over all leads, by (variable, forecaster), in the variable's unit."""
    rows = read_frame(con, "select_judged_crps", model_id=model_id).iter_rows()
    return {(variable, forecaster): crps for variable, forecaster, crps in rows}


def read_drifts(con: duckdb.DuckDBPyConnection) -> tuple[Drift, ...]:
    """The drifts of the present champion since its promotion."""
    return tuple(Drift(**row) for row in read_frame(con, "select_drift").to_dicts())


def add_drifts(con: duckdb.DuckDBPyConnection, drifts: list[Drift], model_id: str, now: datetime) -> None:
    """Record drifts of a model, found at `now`."""
    rows = pl.DataFrame([asdict(one) for one in drifts], schema=_DRIFT_SCHEMA)
    with transaction(con):
        insert(con, "drifts", rows.with_columns(model_id=pl.lit(model_id), found_at=pl.lit(now)))
