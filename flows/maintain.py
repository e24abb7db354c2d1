"""Remove what is kept no longer."""

import logging

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import Moment, as_of, clock, load_settings
from daycast.steps import maintain as steps
from daycast.steps.record_run import recorded

_log = logging.getLogger("daycast")
maintain_tables = warehouse_task(steps.maintain)


@flow
def maintain(config: str | None = None, until: Moment | None = None, dry_run: bool = False) -> steps.Upkeep:
    """Delete what [retention] no longer keeps, compact the published history, and publish; returns what went.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        until: The days that things are kept count back from this moment (ISO 8601); by default from now.
        dry_run: Only say what would go.
    """
    settings, now = load_settings(config), clock()
    moment = as_of(until, now)
    with recorded(settings, "maintain", moment, clock):
        upkeep = maintain_tables(settings, now, dry_run=dry_run, until=moment)
        said = f"{'would remove' if dry_run else 'removed'} {upkeep}"
        show_summary("maintain", said)
        _log.info("%s", said)
    return upkeep
