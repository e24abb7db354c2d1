"""Train a challenger on a snapshot, judge it, and let the better one serve."""

import logging
from dataclasses import replace
from pathlib import Path

from prefect import flow, task

from daycast.model.config import ModelConfig
from daycast.report.progress import show_training
from daycast.settings import clock, load_settings
from daycast.steps import recalibrate as calibrating
from daycast.steps import retrain as steps
from daycast.steps.record_run import recorded
from daycast.variables import Variable

_log = logging.getLogger("daycast")
write_snapshot = task(steps.write_snapshot, name="write_snapshot", tags=["warehouse"])
find_champion = task(steps.find_champion, name="find_champion", tags=["warehouse"])
fit_snapshot = task(steps.fit_snapshot, name="fit_snapshot", tags=["gpu"])
judge = task(steps.judge, name="judge", tags=["warehouse"])
register = task(steps.register, name="register", tags=["warehouse"])

recalibrate = task(calibrating.recalibrate, name="recalibrate", tags=["warehouse"])


@flow
def fit(
    snapshot: Path,
    checkpoints: Path,
    variables: dict[str, Variable],
    model: ModelConfig,
    champion: str | None = None,
) -> Path:
    """Fit a challenger: a Parquet snapshot in, a checkpoint out; touches nothing else, so it can run on any machine."""
    with show_training() as watch:
        return fit_snapshot(snapshot, checkpoints, variables, model, watch, champion)


@flow
def retrain(
    config: str | None = None, until: str | None = None, cell: str | None = None, warm_start: bool = False
) -> steps.Outcome:
    """Snapshot what is known, fit a challenger, judge it on the newest weeks, register it and promote it if it is better."""
    settings, now = load_settings(config), clock(until)
    model = settings.with_cell(cell)
    model = replace(model, warm_start=warm_start or model.warm_start)
    with recorded(settings, "retrain", now, clock):
        snapshot = write_snapshot(settings, now)
        champion = find_champion(settings, now) if model.warm_start else None
        checkpoint = fit(snapshot, settings.checkpoints, settings.glossary, model, champion)
        decision, scores = judge(settings, checkpoint, now)
        outcome = register(settings, checkpoint, decision, scores, now)
        recalibrate(settings, now)
        _log.info("judged %s: %s", outcome.model_id, decision.reason)
    return outcome
