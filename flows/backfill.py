"""Forecast past hours that were missed."""

import logging

from prefect import flow

from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import Moment, clock, load_settings
from daycast.steps import backfill as steps
from daycast.steps import forecast as forecasting
from daycast.steps.record_run import recorded
from daycast.times import parse_time

_log = logging.getLogger("daycast")
find_missing_hours = warehouse_task(steps.find_missing_hours)
issue_forecasts = warehouse_task(forecasting.issue_forecasts)


@flow
def backfill(since: Moment, until: Moment | None = None, config: str | None = None, dry_run: bool = False) -> int:
    """Forecast every hour of [since, until) that has no forecast, from what was known then; returns how many there were.

    The champion of today makes them: where it was trained later, it knows more than one could have known then.

    Args:
        since: The first hour of issue (ISO 8601).
        until: The hour of issue to stop before; by default now.
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        dry_run: Only say which hours are missing.
    """
    settings, now = load_settings(config), clock()
    missing = find_missing_hours(settings, parse_time(since), clock(until), now)
    if dry_run:
        _log.info("missing: %s", ", ".join(f"{hour:%Y-%m-%dT%H:%MZ}" for hour in missing) or "nothing")
        return len(missing)
    with recorded(settings, "backfill", now, clock):
        for hour in missing:
            issue_forecasts(settings, now, hour)
    _log.info("%d missed hours forecast", len(missing))
    return len(missing)
