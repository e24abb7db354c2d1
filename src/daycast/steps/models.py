"""The register of models, by hand."""

import json
from datetime import datetime

import polars as pl

from daycast.settings import Settings
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.models import find_model, promote_model, read_models, rollback_model


def list_models(settings: Settings, now: datetime) -> pl.DataFrame:
    """Every model: id, forecaster, role, until when trained, when registered and promoted, and why."""
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        columns = ["model_id", "forecaster", "role", "trained_until", "registered_at", "promoted_at", "reason"]
        return read_models(con).select(columns)


def show_model(settings: Settings, model_id: str, now: datetime) -> dict[str, object]:
    """All that is known of one model, with the numbers of its judgement. Raises ModelError."""
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        row = find_model(con, model_id)
    return {**row, "decision": json.loads(str(row["decision"]))}


def promote(settings: Settings, model_id: str, now: datetime) -> str:
    """Make a registered model the champion and return its id. Raises ModelError."""
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        promote_model(con, model_id, now)
    return model_id


def rollback(settings: Settings, now: datetime) -> str:
    """Make the champion before this one champion again and return its id. Raises ModelError."""
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        return rollback_model(con, now)
