"""The whole chain once: ingest, retrain if due, forecast, verify, publish, report.

Without a champion a forecast comes first: of the baselines, which are fitted in seconds, the best one serves until the networks
are trained, and after that if they are no better.
"""

import logging

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.forecast import forecast
from daycast.flows.ingest import ingest
from daycast.flows.links import Links
from daycast.flows.retrain import retrain
from daycast.flows.verify import verify
from daycast.flows.warehouse_task import warehouse_task
from daycast.report.summary import Summary, render_summary
from daycast.settings import Moment, clock, load_settings
from daycast.steps import publish as publishing
from daycast.steps import report as reporting
from daycast.steps import retrain as retraining
from daycast.steps.record_run import recorded

_log = logging.getLogger("daycast")
has_champion = warehouse_task(retraining.has_champion)
minutes_due = warehouse_task(retraining.minutes_due)
publish_tables = warehouse_task(publishing.publish_tables)
summarise = warehouse_task(reporting.summarise)
write_report = warehouse_task(reporting.write_report)


@flow
def pipeline(config: str | None = None, until: Moment | None = None, cell: str | None = None) -> Summary:
    """Run the chain and return its summary.

    A link that fails, in whatever way, does not stop those after it, so that a broken source or a failed training never costs a
    forecast; the first failure is raised at the end.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        until: As if the clock stood at this moment (ISO 8601): nothing later is used.
        cell: The recurrent cell instead of the configured one, where a retraining is due.
    """
    settings, now = load_settings(config), clock(until)
    moment = now.isoformat()
    links = Links()
    attempt = links.attempt

    with recorded(settings, "pipeline", now, clock):
        intakes = attempt(ingest, config, until=moment)
        outcome, forecast_rows = None, None
        if attempt(has_champion, settings, now) is False:
            outcome = attempt(retrain, config, moment, baselines_only=True)
            forecast_rows = attempt(forecast, config, until=moment) if outcome else None
            if outcome and forecast_rows:
                attempt(publish_tables, settings, now)
                attempt(write_report, settings, now)
                _log.info("the first forecasts are published: %s serves until there is better", outcome.decision.winner)
        minutes = attempt(minutes_due, settings, now)
        if minutes is not None:
            outcome = attempt(retrain, config, moment, cell, minutes=minutes)
        if minutes is not None or not forecast_rows:
            attempt(forecast, config, until=moment)
        attempt(verify, config, moment)
        attempt(publish_tables, settings, now)
        attempt(write_report, settings, now)
        links.raise_first()
        summary = summarise(settings, now, intakes or [], outcome)
        show_summary("pipeline", f"```\n{render_summary(summary, 100)}```")
        return summary
