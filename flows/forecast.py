"""Issue the next 24 hours."""

import logging

from prefect import flow

from daycast.flows.warehouse_task import warehouse_task
from daycast.live.heartbeat import beat
from daycast.settings import Moment, clock, load_settings
from daycast.steps import backfill as past
from daycast.steps import forecast as steps
from daycast.steps.record_run import recorded
from daycast.times import parse_time

_log = logging.getLogger("daycast")
find_model_of_hour = warehouse_task(past.find_model_of_hour)
issue_forecasts = warehouse_task(steps.issue_forecasts)
plan_forecasts = warehouse_task(steps.plan_forecasts)


@flow
def forecast(
    config: str | None = None,
    issued_at: Moment | None = None,
    stations: list[str] | None = None,
    until: Moment | None = None,
    dry_run: bool = False,
) -> int:
    """Forecast from `issued_at` (by default the last full hour); returns the number of rows written.

    The champion makes them; of a past hour, whoever was champion then.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        issued_at: A past full hour to forecast from, as things were known then (ISO 8601).
        stations: Only these stations.
        until: As if the clock stood at this moment (ISO 8601): nothing later is used.
        dry_run: Only say what would be forecast, by which model, and how many rows it would replace.
    """
    settings, now = load_settings(config), clock(until)
    hour = parse_time(issued_at) if issued_at else None
    model_id = find_model_of_hour(settings, hour, now) if hour else None
    what = (settings, now, hour, stations or [], model_id)
    if dry_run:
        plan = plan_forecasts(*what)
        _log.info("would forecast %s", plan)
        return plan.rows
    with recorded(settings, "forecast", now, clock):
        rows = issue_forecasts(*what)
        if hour is None and not stations:
            beat(settings, rows["issued_at"][0], len(rows), clock())
        _log.info("%d forecasts issued at %s", len(rows), rows["issued_at"][0].isoformat())
    return len(rows)
