"""Train a challenger on a snapshot, judge it, and let the better one serve."""

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from prefect import flow, task
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from daycast.errors import ConfigError, ModelError, tolerated
from daycast.flows.artifacts import show_summary, showing_training
from daycast.flows.warehouse_task import warehouse_task
from daycast.model.config import ModelConfig
from daycast.report.progress import show_training
from daycast.settings import Epochs, Minutes, Moment, as_of, clock, load_settings
from daycast.steps import calibrate as calibrating
from daycast.steps import evaluate as judging
from daycast.steps import train as planning
from daycast.steps import train as steps
from daycast.steps.record_run import recorded
from daycast.variables import Variable

_log = logging.getLogger("daycast")
plan_retraining = warehouse_task(planning.plan_retraining)
write_snapshot = warehouse_task(steps.write_snapshot)
find_champion = warehouse_task(steps.find_champion)
fit_snapshot = task(steps.fit_snapshot, name="fit_snapshot", tags=["gpu"])
evaluate_holdout = warehouse_task(judging.evaluate_holdout)
register = warehouse_task(steps.register)
calibrate = warehouse_task(calibrating.calibrate)


@flow
def fit(
    snapshot: Path,
    checkpoints: Path,
    variables: dict[str, Variable],
    model: ModelConfig,
    champion: str | None = None,
) -> Path:
    """Fit a challenger: a Parquet snapshot in, a checkpoint out; touches nothing else, so it can run on any machine.

    Args:
        snapshot: The folder with the Parquet files.
        checkpoints: The folder the checkpoint is written to.
        variables: Every variable of the network by name.
        model: The section [model] of the configuration.
        champion: The checkpoint, in the same folder, whose networks the new ones begin with.
    """
    with show_training() as line, showing_training(line) as watch:
        return fit_snapshot(snapshot, checkpoints, variables, model, watch, champion)


def fit_by_worker(
    pool: str,
    snapshot: Path,
    checkpoints: Path,
    variables: dict[str, Variable],
    model: ModelConfig,
    champion: str | None = None,
) -> Path:
    """Have a worker of `pool` run `fit`, and return the checkpoint, which both sides find in the same folder."""
    glossary = {name: asdict(variable) for name, variable in variables.items()}
    parameters = {
        "snapshot": str(snapshot),
        "checkpoints": str(checkpoints),
        "variables": glossary,
        "model": asdict(model),
        "champion": champion,
    }
    try:
        run = run_deployment(f"fit/{pool}", parameters=parameters)
    except ObjectNotFound:
        raise ConfigError(
            f'retrain.fit_on is "{pool}", and fit/{pool} is not deployed: `daycast up`, or "here"'
        ) from None
    checkpoint = steps.place_checkpoint(snapshot, checkpoints, variables, model, champion)
    if not run.state or not run.state.is_completed() or not checkpoint.exists():
        state = run.state.name if run.state else "unknown"
        raise ModelError(f"fit/{pool} ended {state} and left no {checkpoint}: see the run {run.name!r}")
    return checkpoint


@flow
def retrain(
    config: str | None = None,
    until: Moment | None = None,
    cell: Literal["gru", "lstm", "rnn", "auto"] | None = None,
    warm_start: bool = False,
    epochs: Epochs | None = None,
    minutes: Minutes | None = None,
    dry_run: bool = False,
    baselines_only: bool = False,
) -> steps.Outcome | None:
    """Snapshot what is known, fit a challenger, judge it on the newest weeks, register it and promote it if it is better.

    Returns what it came to; nothing of a dry run.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        until: Train and judge with what was known at this moment (ISO 8601); by default now. The model is registered as of now.
        cell: The recurrent cell instead of the configured one; auto trains GRU and LSTM.
        warm_start: Whether the networks begin with the champion's.
        epochs: The most epochs of each network instead of the configured ones (model.epochs).
        minutes: How long the fit may take, instead of the configured minutes (model.max_minutes): epochs are planned by it.
        dry_run: Only say what would be trained, on what, where and for how long at most, and whom it would have to beat.
        baselines_only: Fit ridge and the naive baselines alone, which takes seconds, and no networks.
    """
    settings, now = load_settings(config), clock()
    moment = as_of(until, now)
    model = settings.with_cell(cell, epochs, minutes)
    model = replace(model, warm_start=warm_start or model.warm_start)
    if baselines_only and not plan_retraining(settings, model, moment).too_little:  # else there are no networks anyway
        model = replace(model, ensemble_size=0)
    if dry_run:
        said = f"would train {plan_retraining(settings, model, moment)}"
        _log.info("%s", said)
        show_summary("retrain", said)
        return None
    with recorded(settings, "retrain", moment, clock):
        snapshot = write_snapshot(settings, moment)
        champion = find_champion(settings, now) if model.warm_start and model.ensemble_size else None
        what = (snapshot, settings.checkpoints, settings.glossary, model, champion)
        where = settings.retrain.fit_on if model.ensemble_size else "here"
        checkpoint = fit(*what) if where == "here" else fit_by_worker(where, *what)
        decision, scores = evaluate_holdout(settings, checkpoint, moment)
        outcome = register(settings, checkpoint, decision, scores, clock())
        with tolerated("not calibrated yet; `verify` does it"):
            calibrate(settings, moment)
        _log.info("judged %s: %s", outcome.model_id, decision.reason)
        rivals = [{"rival": name, **asdict(numbers)} for name, numbers in decision.rivals.items()]
        result = "promoted" if decision.promoted else "not promoted"
        show_summary("retrain", f"{outcome.model_id} {result}: {decision.reason}", rivals)
    return outcome
