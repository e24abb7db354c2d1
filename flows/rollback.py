"""Make the champion before the present one champion again."""

import logging

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.runs import alone, named, planned
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import clock, load_settings
from daycast.steps import registry

_log = logging.getLogger("daycast")
rollback_model = warehouse_task(registry.rollback)


@flow(flow_run_name=named("rollback"))
@alone
def rollback(config: str | None = None, dry_run: bool = False) -> str:
    """Make the champion before the present one champion again; returns a line that says what changed.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        dry_run: Only say which model would replace which.
    """
    settings = load_settings(config)
    change = str(rollback_model(settings, clock(), dry_run=dry_run))
    show_summary("rollback", change, settings)
    if dry_run:
        return planned(change, change)
    _log.info("%s", change)
    return change
