"""Take in what every source has."""

import logging

from prefect import flow, task

from daycast.errors import DaycastError
from daycast.settings import clock, load_settings
from daycast.steps import ingest as steps
from daycast.steps.record_run import recorded
from daycast.times import parse_time

_log = logging.getLogger("daycast")
ingest_source = task(steps.ingest_source, name="ingest_source", tags=["warehouse"])


@flow
def ingest(
    config: str | None = None, source: str | None = None, since: str | None = None, until: str | None = None
) -> list[steps.Intake]:
    """Ingest every source, or the one named: from `since`, else from where the last run ended.

    A source that fails does not stop the others; the first failure is raised at the end.
    """
    settings, now = load_settings(config), clock(until)
    start = parse_time(since) if since else None
    with recorded(settings, "ingest", now, clock):
        intakes, errors = [], []
        for one in steps.choose_sources(settings, source):
            try:
                intakes.append(ingest_source(settings, one, now, start))
                _log.info("%s", intakes[-1])
            except DaycastError as error:
                errors.append(error)
        if errors:
            raise errors[0]
    return intakes
