"""Make a registered model the champion."""

import logging

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.runs import alone, named, planned
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import clock, load_settings
from daycast.steps import registry

_log = logging.getLogger("daycast")
promote_model = warehouse_task(registry.promote)


@flow(flow_run_name=named("promote", "model_id"))
@alone
def promote(model_id: str, config: str | None = None, dry_run: bool = False) -> str:
    """Make a registered model the champion, whatever its holdout scores; returns a line that says what changed.

    Args:
        model_id: The model, as `daycast models list` names it.
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        dry_run: Only check whether it can serve, and say which model it would replace.
    """
    settings = load_settings(config)
    change = str(promote_model(settings, model_id, clock(), dry_run=dry_run))
    show_summary("promote", change, settings)
    if dry_run:
        return planned(change, change)
    _log.info("%s", change)
    return change
