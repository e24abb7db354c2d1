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
from daycast.settings import Moment, as_of, clock, load_settings
from daycast.steps import publish as publishing
from daycast.steps import publish as reporting
from daycast.steps import train as retraining
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
    forecast; what failed is raised at the end, as one error.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        until: Nothing that was received, registered or issued later is used (ISO 8601); what is written bears the time of now.
        cell: The recurrent cell instead of the configured one, where a retraining is due.
    """
    settings, began = load_settings(config), clock()
    moment = as_of(until, began)
    links = Links(at_once=True)
    attempt = links.attempt

    with recorded(settings, "pipeline", moment, clock):
        ingested = attempt(ingest, config, until=until)
        outcome, forecast_rows = None, None
        if attempt(has_champion, settings, began) is False:
            outcome = attempt(retrain, config, until, baselines_only=True)
            forecast_rows = attempt(forecast, config, until=until) if outcome else None
            if outcome and forecast_rows:
                attempt(publish_tables, settings, clock())
                attempt(write_report, settings, clock(), moment if until else None)
                _log.info("the first forecasts are published: %s serves until there is better", outcome.decision.winner)
        minutes = attempt(minutes_due, settings, clock())
        if minutes is not None:
            outcome = attempt(retrain, config, until, cell, minutes=minutes)
        if minutes is not None or not forecast_rows:
            attempt(forecast, config, until=until)
        attempt(verify, config, until)
        attempt(publish_tables, settings, clock())
        attempt(write_report, settings, clock(), moment if until else None)
        links.raise_failures()
        summary = summarise(settings, clock(), ingested or [], outcome, began, moment if until else None)
        show_summary("pipeline", f"```\n{render_summary(summary, 100)}```")
        return summary
