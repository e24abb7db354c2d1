"""Delete what the retention settings no longer keep."""

import logging

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.map_blocks import mapping_blocks
from daycast.flows.runs import alone, named, planned
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import Moment, as_of, clock, load_settings
from daycast.steps import maintain as maintain_steps
from daycast.steps.record_run import recorded

_log = logging.getLogger("daycast")
maintain_tables = warehouse_task(maintain_steps.maintain)


@flow(flow_run_name=named("maintain"))
@alone
def maintain(
    config: str | None = None, until: Moment | None = None, dry_run: bool = False, recheck: bool = False
) -> maintain_steps.Upkeep:
    """Delete what [retention] no longer keeps, compact the published history, and publish; returns what was deleted.

    If the thresholds of checks have changed, all hours are checked again by the new ones first.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        until: The days of retention count back from this time (ISO 8601); by default from now.
        dry_run: Only say what would be deleted.
        recheck: Check all hours again, whether or not the thresholds have changed.
    """
    settings, now = load_settings(config), clock()
    moment = as_of(until, now)
    if dry_run:
        upkeep = maintain_tables(settings, now, dry_run=True, until=moment)
        show_summary("maintain", f"Would remove {upkeep}.", settings)
        return planned(f"would remove {upkeep}", upkeep)
    with recorded(settings, "maintain", moment, clock):
        with mapping_blocks(settings) as map_blocks:
            upkeep = maintain_tables(settings, now, until=moment, recheck=recheck, map_blocks=map_blocks)
        show_summary("maintain", f"Removed {upkeep}.", settings)
        _log.info("removed %s", upkeep)
    return upkeep
