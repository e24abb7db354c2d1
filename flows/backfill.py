"""Forecast past hours that were missed."""

import logging
from contextlib import nullcontext

from prefect import flow

from daycast.errors import ModelError, describe
from daycast.flows.artifacts import show_summary
from daycast.flows.map_blocks import mapping_blocks
from daycast.flows.runs import alone, named, planned
from daycast.flows.stages import Stages
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import Moment, clock, load_settings
from daycast.steps import backfill as backfill_steps
from daycast.steps import forecast as forecast_steps
from daycast.steps.record_run import recorded
from daycast.times import parse_time

_log = logging.getLogger("daycast")
find_missing_hours = warehouse_task(backfill_steps.find_missing_hours)
choose_model_of_hour = warehouse_task(backfill_steps.choose_model_of_hour)
issue_forecasts = warehouse_task(forecast_steps.issue_forecasts)
plan_forecasts = warehouse_task(forecast_steps.plan_forecasts)


@flow(flow_run_name=named("backfill"))
@alone
def backfill(since: Moment, until: Moment | None = None, config: str | None = None, dry_run: bool = False) -> int:
    """Forecast every hour of [since, until) that has no forecast, as things were known then; returns the number of hours.

    The champion of each hour makes its forecast. An hour stays missing if no readings were known or no model served at that
    time; if all hours stay missing, the reasons are raised as one error. A dry run only says them.

    Args:
        since: The first hour of issue (ISO 8601).
        until: Stop before this hour of issue (ISO 8601); by default now.
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        dry_run: Only say which hours are missing, and which model would forecast each.
    """
    settings, now = load_settings(config), clock()
    missing = find_missing_hours(settings, parse_time(since), clock(until), now)
    plan_or_issue = plan_forecasts if dry_run else issue_forecasts
    stages, table = Stages(log_at_once=True), []
    with (
        nullcontext() if dry_run else recorded(settings, "backfill", now, clock),
        nullcontext() if dry_run or not missing else mapping_blocks(settings) as map_blocks,
    ):
        options = {"map_blocks": map_blocks} if map_blocks else {}
        for hour in missing:
            model = stages.run(choose_model_of_hour, settings, hour, now)
            if model and model.model_id is None:  # a line and no failure of a task
                stages.errors.append(ModelError(model.reason))
                _log.warning("%s", model.reason)
            model_id = model.model_id if model else None
            made = stages.run(plan_or_issue, settings, now, hour, model_id=model_id, **options) if model_id else None
            if made is None:
                table.append({"issued_at": hour, "forecast": f"no: {describe(stages.errors[-1])}"})
                _log.warning("%s stays missing", f"{hour:%Y-%m-%dT%H:%MZ}")
            else:
                text = str(made) if dry_run else f"{len(made)} rows by {made['model_id'][0]}"
                table.append({"issued_at": hour, "forecast": text})
                _log.info("%s %s", "would forecast" if dry_run else f"forecast {hour:%Y-%m-%dT%H:%MZ}:", text)
        done = len(missing) - len(stages.errors)
        summary = f"{done} of {len(missing)} missed hours {'would be ' if dry_run else ''}forecast"
        show_summary("backfill", summary, settings, table, each_row="What became of each hour.")
        if dry_run:
            return planned(summary, done)
        if len(stages.errors) == len(missing):
            stages.raise_errors()
    _log.info("%s", summary)
    return done
