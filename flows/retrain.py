"""Train a challenger on a snapshot, evaluate it on the holdout, and promote it if it is better.

`retrain` is the whole flow. `fit` is the part that trains; it touches no warehouse, so it can run on another machine, where
`fit_by_worker` starts it.
"""

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from daycast.errors import ConfigError, ModelError, tolerated
from daycast.flows.artifacts import show_summary, showing_training
from daycast.flows.runs import alone, named, planned
from daycast.flows.warehouse_task import warehouse_task
from daycast.model.config import Cell, ModelConfig
from daycast.report.progress import show_training
from daycast.settings import Epochs, Minutes, Moment, as_of, clock, load_settings
from daycast.steps import calibrate as calibrate_steps
from daycast.steps import evaluate, train
from daycast.steps.record_run import recorded
from daycast.variables import Variable

_TRIES = 2  # of a fit whose process was lost: the second one resumes where the first one was
_log = logging.getLogger("daycast")
plan_retraining = warehouse_task(train.plan_retraining)
write_snapshot = warehouse_task(train.write_snapshot)
find_champion = warehouse_task(train.find_champion)
fit_snapshot = task(train.fit_snapshot, name="fit_snapshot", tags=["gpu"], cache_policy=NO_CACHE)
evaluate_holdout = warehouse_task(evaluate.evaluate_holdout)
register = warehouse_task(train.register)
calibrate = warehouse_task(calibrate_steps.calibrate)


@flow(flow_run_name=named("fit"))
def fit(
    snapshot: Path,
    checkpoints: Path,
    variables: dict[str, Variable],
    model: ModelConfig,
    champion: str | None = None,
) -> Path:
    """Fit a challenger: a Parquet snapshot in, a checkpoint out. It touches nothing else, so it can run on any machine.

    Args:
        snapshot: The folder with the Parquet files.
        checkpoints: The folder the checkpoint is written to.
        variables: Every configured variable by name.
        model: The section [model] of the configuration.
        champion: The name of a checkpoint in the same folder from whose weights training starts.
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
    """Let a worker of `pool` run `fit`; returns the checkpoint. Both machines must see the same folders.

    A fit whose worker dies is started once more. Raises ConfigError if `fit` is not deployed for the pool, ModelError if the
    run fails.
    """
    glossary = {name: asdict(variable) for name, variable in variables.items()}
    parameters = {
        "snapshot": str(snapshot),
        "checkpoints": str(checkpoints),
        "variables": glossary,
        "model": asdict(model),
        "champion": champion,
    }
    _log.info("a worker of the pool %s trains: its run, which is part of this one, says how far it is", pool)
    run = _run_fit(pool, parameters)
    checkpoint = train.place_checkpoint(snapshot, checkpoints, variables, model, champion)
    if not run.state or not run.state.is_completed() or not checkpoint.exists():
        state = f"{run.state.name} ({run.state.message})" if run.state else "unknown"
        raise ModelError(f"fit/{pool} ended {state} and left no {checkpoint}: see the run {run.name!r}")
    return checkpoint


def _run_fit(pool: str, parameters: dict[str, Any]) -> FlowRun:
    """The ended run of `fit` in the pool; of one that crashed, the next try."""
    try:
        for _ in range(_TRIES - 1):
            run = run_deployment(f"fit/{pool}", parameters=parameters)
            if not run.state or not run.state.is_crashed():
                return run
            _log.warning("the run %r lost its process, and is started again: %s", run.name, run.state.message)
        return run_deployment(f"fit/{pool}", parameters=parameters)
    except ObjectNotFound:
        raise ConfigError(
            f'retrain.fit_on is "{pool}", and fit/{pool} is not deployed: `daycast up`, or "here"'
        ) from None


@flow(flow_run_name=named("retrain", "cell"))
@alone
def retrain(
    config: str | None = None,
    until: Moment | None = None,
    cell: Cell | None = None,
    warm_start: bool = False,
    epochs: Epochs | None = None,
    minutes: Minutes | None = None,
    dry_run: bool = False,
    baselines_only: bool = False,
) -> train.Outcome | None:
    """Snapshot the data, fit a challenger, evaluate it on the newest weeks, register it and promote it if it is better.

    Returns the model and the decision; None for a dry run.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        until: Train and evaluate with what was known at this time (ISO 8601); by default now. The model is registered as of now.
        cell: The recurrent cell instead of the configured one; auto trains GRU and LSTM.
        warm_start: Start from the champion's weights.
        epochs: At most so many epochs for each network, instead of the configured number (model.epochs).
        minutes: Train for at most so many minutes, instead of the configured ones (model.max_minutes); sets the epochs.
        dry_run: Only say what would be trained, on what, where and for how long at most, and which models it would have to beat.
        baselines_only: Fit only ridge and the naive baselines, which takes seconds, and no networks.
    """
    settings, now = load_settings(config), clock()
    moment = as_of(until, now)
    model = settings.with_cell(cell, epochs, minutes)
    model = replace(model, warm_start=warm_start or model.warm_start)
    if (
        baselines_only and not plan_retraining(settings, model, moment).too_little
    ):  # with too little data there are no networks anyway
        model = replace(model, ensemble_size=0)
    if dry_run:
        text = f"would train {plan_retraining(settings, model, moment)}"
        show_summary("retrain", text, settings)
        return planned(text, None)
    with recorded(settings, "retrain", moment, clock):
        snapshot = write_snapshot(settings, moment)
        champion = find_champion(settings, now) if model.warm_start and model.ensemble_size else None
        arguments = (snapshot, settings.checkpoints, settings.glossary, model, champion)
        where = settings.retrain.fit_on if model.ensemble_size else "here"
        checkpoint = fit(*arguments) if where == "here" else fit_by_worker(where, *arguments)
        decision, scores = evaluate_holdout(settings, checkpoint, moment)
        outcome = register(settings, checkpoint, decision, scores, clock())
        with tolerated("not calibrated yet; `verify` does it"):
            calibrate(settings, moment)
        _log.info("evaluated %s: %s", outcome.model_id, decision.reason)
        rivals = [{"rival": name, **asdict(numbers)} for name, numbers in decision.rivals.items()]
        result = "promoted" if decision.promoted else "not promoted"
        show_summary(
            "retrain",
            f"{outcome.model_id} {result}: {decision.reason}",
            settings,
            rivals,
            each_row="The model compared with each rival.",
        )
    return outcome
