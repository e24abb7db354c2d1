"""The register of models: who is champion, who was, and why."""

from dataclasses import asdict, dataclass
from datetime import datetime

import duckdb
import polars as pl

from daycast.errors import ModelError
from daycast.warehouse.connect import frames, read_frame, transaction
from daycast.warehouse.statements import statement


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


def register_model(con: duckdb.DuckDBPyConnection, entry: ModelEntry, judged: pl.DataFrame, *, promote: bool) -> None:
    """Register a model with its judgement, in place of what stood under its id; the champion changes in the same transaction.

    judged: the columns of `judgements` but model_id.
    """
    with frames(con, judged=judged.with_columns(model_id=pl.lit(entry.model_id))), transaction(con):
        con.execute(statement("delete_model"), {"model_id": entry.model_id})
        con.execute(statement("delete_judgement"), {"model_id": entry.model_id})
        con.execute(statement("insert_model"), asdict(entry))
        con.execute(statement("insert_judgement"))
        if promote:
            _promote(con, entry.model_id, entry.registered_at)


def read_champion(con: duckdb.DuckDBPyConnection) -> dict[str, object] | None:
    """The champion's row of `models`, or None where nothing serves yet."""
    rows = read_frame(con, "select_champion").to_dicts()
    return rows[0] if rows else None


def read_models(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The register, oldest first."""
    return read_frame(con, "select_models")


def find_model(con: duckdb.DuckDBPyConnection, model_id: str) -> dict[str, object]:
    """The row of `models` under this id. Raises ModelError naming the ids there are."""
    models = read_models(con)
    rows = models.filter(pl.col("model_id") == model_id).to_dicts()
    if not rows:
        there = ", ".join(models["model_id"]) or "none"
        raise ModelError(f"there is no model {model_id!r}; registered are: {there}")
    return rows[0]


def promote_model(con: duckdb.DuckDBPyConnection, model_id: str, now: datetime) -> None:
    """Make a registered model the champion by hand. Raises ModelError where it is not registered."""
    find_model(con, model_id)
    with transaction(con):
        _promote(con, model_id, now)


def rollback_model(con: duckdb.DuckDBPyConnection, now: datetime) -> str:
    """Make the champion before this one champion again and return its id. Raises ModelError where there was none."""
    rows = read_frame(con, "select_previous_champion")
    if rows.is_empty():
        raise ModelError("there was no champion before this one: nothing to roll back to")
    promote_model(con, rows.item(), now)
    return str(rows.item())


def _promote(con: duckdb.DuckDBPyConnection, model_id: str, now: datetime) -> None:
    con.execute(statement("retire_champion"))
    con.execute(statement("promote_model"), {"model_id": model_id, "promoted_at": now})
