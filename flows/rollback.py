"""Make the champion before the present one champion again."""

import logging

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import clock, load_settings
from daycast.steps import registry

_log = logging.getLogger("daycast")
rollback_model = warehouse_task(registry.rollback)


@flow
def rollback(config: str | None = None, dry_run: bool = False) -> str:
    """Make the champion before the present one champion again; returns a line that says what changed.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        dry_run: Only say which model would replace which.
    """
    change = str(rollback_model(load_settings(config), clock(), dry_run=dry_run))
    _log.info("%s", change)
    show_summary("rollback", change)
    return change
