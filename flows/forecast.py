"""Issue the next 24 hours."""

import logging
from datetime import datetime

import polars as pl
from prefect import flow

from daycast.errors import WorkerError, tolerated
from daycast.flows.artifacts import show_image, show_summary
from daycast.flows.map_blocks import mapping_blocks
from daycast.flows.runs import alone, named, planned, skipped
from daycast.flows.warehouse_task import warehouse_task
from daycast.service.alerts import send_heartbeat
from daycast.settings import Moment, Settings, as_of, clock, load_settings
from daycast.steps import backfill, publish, train
from daycast.steps import forecast as forecast_steps
from daycast.steps.record_run import recorded
from daycast.times import parse_time

_log = logging.getLogger("daycast")
has_champion = warehouse_task(train.has_champion)
find_model_of_hour = warehouse_task(backfill.find_model_of_hour)
find_model_as_of = warehouse_task(backfill.find_model_as_of)
issue_forecasts = warehouse_task(forecast_steps.issue_forecasts)
draw_forecast = warehouse_task(publish.draw_forecast)
plan_forecasts = warehouse_task(forecast_steps.plan_forecasts)


@flow(flow_run_name=named("forecast", full_hour=True))
@alone
def forecast(
    config: str | None = None,
    issued_at: Moment | None = None,
    stations: list[str] | None = None,
    until: Moment | None = None,
    dry_run: bool = False,
) -> int | None:
    """Forecast from `issued_at` (by default the last full hour); returns the number of rows written, None without a champion.

    The champion makes them; for a past hour, the champion of that hour. As long as there is none, nothing is forecast, which is
    a line in the log and no failure. Once they are written, nothing can undo them: a summary
    or a chart that fails is only a warning.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        issued_at: A past full hour to forecast from, as things were known then (ISO 8601).
        stations: Only these stations, by their ids.
        until: Forecast from the last full hour before this time (ISO 8601), with what was known and with the model that served
            then; by default now. Forecasts that come too late for anybody are marked as backfilled, and never scored.
        dry_run: Only say what would be forecast, by which model, and how many rows it would replace.
    """
    settings, now = load_settings(config), clock()
    moment = as_of(until, now)
    hour = parse_time(issued_at) if issued_at else None
    model_id = None
    if not hour and not has_champion(settings, now):
        text = "nothing is forecast: there is no champion yet, `daycast retrain` finds one"
        show_summary("forecast", text, settings)
        return skipped(text, None)
    if hour or until:
        model_id = find_model_of_hour(settings, hour, now) if hour else find_model_as_of(settings, moment, now)
    arguments = (settings, now, hour, stations or [], model_id)
    options = {"until": moment} if until else {}
    if dry_run:
        plan = plan_forecasts(*arguments, **options)
        show_summary("forecast", f"Would forecast {plan}.", settings)
        return planned(f"would forecast {plan}", plan.rows)
    with recorded(settings, "forecast", moment, clock):
        try:
            with mapping_blocks(settings) as map_blocks:
                rows = issue_forecasts(*arguments, map_blocks, **options)
        except WorkerError as error:
            _log.warning("%s; forecast in this process instead", error)
            rows = issue_forecasts(*arguments, **options)
        if rows.is_empty():
            return 0  # forecasts of this hour were served already, and the step has logged that
        if hour is None and not until and not stations:
            with tolerated("no heartbeat"):
                send_heartbeat(settings, rows["issued_at"][0], len(rows), clock())
        with tolerated("no summary"):
            _show(settings, moment, rows)
    return len(rows)


def _show(settings: Settings, now: datetime, rows: pl.DataFrame) -> None:
    """Log what was forecast, and show it on the run's page with a chart of the first station and variable."""
    stations = rows["station_id"].n_unique()
    where = "1 station" if stations == 1 else f"{stations:,} stations"
    text = f"{len(rows):,} forecasts issued at {rows['issued_at'][0]:%Y-%m-%dT%H:%MZ} for {where}"
    _log.info("%s", text)
    groups = rows.group_by("variable", "forecaster", "input_regime", maintain_order=True)
    table = groups.agg(pl.col("station_id").n_unique().alias("stations")).to_dicts()
    description = f"{rows['variable'][0]} at {rows['station_id'][0]}"
    chart = show_image("forecast-chart", lambda: draw_forecast(settings, now, rows), description)
    each_row = "Stations by variable and forecaster."
    show_summary("forecast", f"{text} by {rows['model_id'][0]}.", settings, table, {"chart": chart}, each_row)
