"""The register of models, for operators: list, show, promote by hand, roll back."""

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime

import polars as pl

from daycast.errors import ModelError
from daycast.report.model_card import ModelCard
from daycast.report.skill import read_holdout_result
from daycast.settings import Settings
from daycast.warehouse.models import (
    ModelRow,
    find_model,
    promote_model,
    read_champion,
    read_fallbacks,
    read_holdout_scores,
    read_models,
    read_previous_champion,
    rollback_model,
)


@dataclass(frozen=True)
class Change:
    """A change of champion made by hand; or one that a dry run found possible."""

    model_id: str
    before: str | None  # the previous champion
    how: str  # in words
    made: bool = True  # False for a dry run

    def __str__(self) -> str:
        place = f" in place of {self.before}" if self.before else ""
        undo = " (`daycast models rollback` undoes this)" if self.before and self.made else ""
        return f"{self.model_id} {'is' if self.made else 'would be'} champion{place}{undo}: {self.how}"


def list_models(settings: Settings, now: datetime) -> pl.DataFrame:
    """Every model, oldest first: id, forecaster, role, times of training, registration and promotion, how and why."""
    columns = [
        "model_id",
        "forecaster",
        "role",
        "trained_until",
        "registered_at",
        "promoted_at",
        "promoted_by",
        "reason",
    ]
    with settings.warehouse.read(now) as con:
        return read_models(con).select(columns)


def show_model(settings: Settings, model_id: str, now: datetime) -> dict[str, object]:
    """Everything about one model, with its holdout scores, as plain data for JSON. Raises ModelError for an unknown id."""
    with settings.warehouse.read(now) as con:
        row = find_model(con, model_id)
        fallbacks, scores = read_fallbacks(con, model_id), read_holdout_scores(con, model_id)
    return {
        **asdict(row),
        "decision": json.loads(row.decision),
        "fit": _describe_fit(settings, row),
        "fallbacks": [asdict(one) for one in fallbacks],
        "holdout": scores.drop("model_id").to_dicts(),
    }


def describe_model(settings: Settings, model_id: str, now: datetime) -> ModelCard:
    """Everything about one model as a card for people to read. Raises ModelError for an unknown id."""
    with settings.warehouse.read(now) as con:
        row = find_model(con, model_id)
        fallbacks, scores = read_fallbacks(con, model_id), read_holdout_scores(con, model_id)
    given = {name: value for name, value in asdict(row).items() if name in {field.name for field in fields(ModelCard)}}
    return ModelCard(
        **given,
        fit=_describe_fit(settings, row),
        result=read_holdout_result(json.loads(row.decision), row.forecaster),
        scores=scores,
        fallbacks=fallbacks,
        variables=settings.glossary,
    )


def promote(settings: Settings, model_id: str, now: datetime, *, dry_run: bool = False) -> Change:
    """Make a registered model the champion, whatever its holdout scores; with `dry_run` only check that it is possible.

    Raises ModelError if the id is unknown or its checkpoint cannot serve.
    """
    with settings.warehouse.write(now) as con:
        row, champion = find_model(con, model_id), read_champion(con)
        if champion and champion.model_id == model_id:
            return Change(model_id, None, "it was already, nothing is changed")
        _check_checkpoint(settings, row)
        if not dry_run:
            promote_model(con, model_id, now)
    how = f"by hand, its checkpoint is there; its scores on the holdout stay as they were: {row.reason}"
    return Change(model_id, champion.model_id if champion else None, how, not dry_run)


def rollback(settings: Settings, now: datetime, *, dry_run: bool = False) -> Change:
    """Make the previous champion the champion again; with `dry_run` only check that it is possible.

    Raises ModelError if there was none or its checkpoint cannot serve.
    """
    with settings.warehouse.write(now) as con:
        champion = read_champion(con)
        row = find_model(con, read_previous_champion(con))
        _check_checkpoint(settings, row)
        if not dry_run:
            rollback_model(con, now)
    how = f"it served before that one, since {row.promoted_at:%Y-%m-%d %H:%M} UTC, and its checkpoint is there"
    return Change(row.model_id, champion.model_id if champion else None, how, not dry_run)


def _describe_fit(settings: Settings, row: ModelRow) -> dict[str, str]:
    """What the model was made from, as labels and values, from its checkpoint; or why that cannot be read."""
    from daycast.model.checkpoint import read_header  # noqa: PLC0415 - torch, which no other command on models needs

    try:
        header = read_header(settings.checkpoints / row.checkpoint)
    except ModelError as error:
        return {"Fit": str(error)}
    moments = (header.trained_until, header.calibrated_until, header.refreshed_until)
    trained, calibrated, refreshed = (f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC" for text in moments)
    losses = (
        ", ".join(f"{cell} {loss:.4f}" for cell, loss in header.validation_loss.items()) or "no network was trained"
    )
    return {
        "Trained": f"on {len(header.stations)} stations up to {trained}",
        "Reads": ", ".join(dict.fromkeys(channel.variable for channel in header.channels)),
        "Of others": ", ".join(dict.fromkeys(channel.variable for channel in header.external_forecasts))
        or "no forecasts",
        "Forecasts": ", ".join(header.targets),
        "Validation": losses,
        "Of base": ", ".join(
            f"{share:.0%} of {name}" for name, share in zip(header.targets, header.base_weights, strict=False)
        )
        or "nothing",
        "Calibrated": f"on the hours up to {calibrated}",
        "Refreshed": f"with all hours up to {refreshed}, before it served",
        "Made with": ", ".join(f"{what} {which}" for what, which in header.manifest.items()),
    }


def _check_checkpoint(settings: Settings, row: ModelRow) -> None:
    """Raise ModelError if the model's checkpoint cannot serve."""
    from daycast.model.checkpoint import check_checkpoint  # noqa: PLC0415 - torch, which most commands on models do not need

    try:
        check_checkpoint(settings.checkpoints / row.checkpoint)
    except ModelError as error:
        raise ModelError(f"{row.model_id} cannot serve: {error}") from None
