"""Forecast past hours that were missed."""

import logging
from contextlib import nullcontext

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.links import Links
from daycast.flows.map_blocks import mapping_blocks
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import Moment, clock, load_settings
from daycast.steps import backfill as steps
from daycast.steps import forecast as forecasting
from daycast.steps.record_run import recorded
from daycast.times import parse_time

_log = logging.getLogger("daycast")
find_missing_hours = warehouse_task(steps.find_missing_hours)
find_model_of_hour = warehouse_task(steps.find_model_of_hour)
issue_forecasts = warehouse_task(forecasting.issue_forecasts)
plan_forecasts = warehouse_task(forecasting.plan_forecasts)


@flow
def backfill(since: Moment, until: Moment | None = None, config: str | None = None, dry_run: bool = False) -> int:
    """Forecast every hour of [since, until) that has no forecast, as it was known then; returns how many hours that were.

    The champion of each hour makes them, from what was known at it. An hour of which nothing was known, or at which no model
    served, stays missing; where that is true of all, the first reason is raised.

    Args:
        since: The first hour of issue (ISO 8601).
        until: The hour of issue to stop before; by default now.
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        dry_run: Only say which hours are missing, and which model would forecast each.
    """
    settings, now = load_settings(config), clock()
    missing = find_missing_hours(settings, parse_time(since), clock(until), now)
    act = plan_forecasts if dry_run else issue_forecasts
    links, table = Links(at_once=True), []
    with (
        nullcontext() if dry_run else recorded(settings, "backfill", now, clock),
        nullcontext() if dry_run or not missing else mapping_blocks(settings) as map_blocks,
    ):
        how = {"map_blocks": map_blocks} if map_blocks else {}
        for hour in missing:
            model_id = links.attempt(find_model_of_hour, settings, hour, now)
            made = links.attempt(act, settings, now, hour, model_id=model_id, **how) if model_id else None
            if made is None:
                table.append({"issued_at": hour, "forecast": f"no: {links.errors[-1]}"})
                _log.warning("%s stays missing", f"{hour:%Y-%m-%dT%H:%MZ}")
            else:
                said = str(made) if dry_run else f"{len(made)} rows by {made['model_id'][0]}"
                table.append({"issued_at": hour, "forecast": said})
                _log.info("%s %s", "would forecast" if dry_run else f"forecast {hour:%Y-%m-%dT%H:%MZ}:", said)
        text = f"{len(missing) - len(links.errors)} of {len(missing)} missed hours {'would be ' if dry_run else ''}forecast"
        show_summary("backfill", text, table)
        if len(links.errors) == len(missing):
            links.raise_failures()
    _log.info("%s", text)
    return len(missing) - len(links.errors)
