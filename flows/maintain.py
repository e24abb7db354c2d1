"""Delete what the retention settings no longer keep."""

import logging

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import Moment, as_of, clock, load_settings
from daycast.steps import maintain as maintain_steps
from daycast.steps.record_run import recorded

_log = logging.getLogger("daycast")
maintain_tables = warehouse_task(maintain_steps.maintain)


@flow
def maintain(config: str | None = None, until: Moment | None = None, dry_run: bool = False) -> maintain_steps.Upkeep:
    """Delete what [retention] no longer keeps, compact the published history, and publish; returns what was deleted.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        until: The days of retention count back from this time (ISO 8601); by default from now.
        dry_run: Only say what would be deleted.
    """
    settings, now = load_settings(config), clock()
    moment = as_of(until, now)
    with recorded(settings, "maintain", moment, clock):
        upkeep = maintain_tables(settings, now, dry_run=dry_run, until=moment)
        text = f"{'would remove' if dry_run else 'removed'} {upkeep}"
        show_summary("maintain", text)
        _log.info("%s", text)
    return upkeep
