"""Take in what every source has."""

import logging

from prefect import flow
from prefect.events import emit_event

from daycast.errors import DaycastError, join_errors
from daycast.flows.artifacts import show_summary
from daycast.flows.spread import spreading
from daycast.flows.warehouse_task import warehouse_task
from daycast.report.ingest_progress import show_ingest
from daycast.settings import Moment, as_of, clock, load_settings
from daycast.steps import ingest as steps
from daycast.steps import warnings
from daycast.steps.record_run import recorded
from daycast.times import parse_time

_log = logging.getLogger("daycast")
ingest_source = warehouse_task(steps.ingest_source)
find_warnings = warehouse_task(warnings.find_warnings)


@flow
def ingest(
    config: str | None = None, source: str | None = None, since: Moment | None = None, until: Moment | None = None
) -> list[steps.Ingested]:
    """Ingest every source, or the one named: from `since`, else from where the last run ended.

    A source that fails does not stop the others; what failed is raised at the end, as one error. A station that is silent,
    or whose clock is not UTC, is an event of the orchestrator.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        source: Only the source of this name.
        since: From this moment instead of where the last run ended (ISO 8601).
        until: Only what was received up to this moment (ISO 8601); by default now.
    """
    settings, now = load_settings(config), clock()
    moment = as_of(until, now)
    start = parse_time(since) if since else None
    with recorded(settings, "ingest", moment, clock):
        ingested, errors = [], []
        with show_ingest() as watch, spreading(settings) as spread:
            for one in steps.choose_sources(settings, source):
                try:
                    ingested.append(ingest_source(settings, one, now, start, watch, spread, moment))
                    _log.info("%s", ingested[-1])
                except DaycastError as error:
                    errors.append(error)
        warned = find_warnings(settings, moment)
        lines = [f"- {one}" for one in [*ingested, *(f"failed: {error}" for error in errors), *warned]]
        show_summary(
            "ingest",
            "\n".join(lines) or "There is no source.",
            [vars(one) | {"flagged": one.flagged.total()} for one in ingested],
        )
        for warning in warned:
            emit_event(
                warning.event,
                {"prefect.resource.id": f"daycast.station.{warning.station_id}"},
                payload=warning.payload(),
            )
            _log.warning("%s", warning)
        if errors:
            raise join_errors(errors)
    return ingested
