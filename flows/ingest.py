"""Take in what every source has."""

import logging
from time import monotonic

from prefect import flow
from prefect.events import emit_event

from daycast.errors import tolerated
from daycast.flows.artifacts import show_summary
from daycast.flows.links import Links
from daycast.flows.map_blocks import mapping_blocks
from daycast.flows.warehouse_task import warehouse_task
from daycast.report.progress import show_ingest
from daycast.settings import Moment, as_of, clock, load_settings
from daycast.steps import doctor as warnings
from daycast.steps import ingest as steps
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

    A source that fails does not stop the others; what failed is raised at the end, as one error. All together are waited for
    up to `ingest.max_minutes`, of which each has an equal share and what those before it left. A station that is silent, or
    whose clock is not UTC, is an event of the orchestrator.

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
        ingested, links = [], Links()
        sources, most = steps.choose_sources(settings, source), settings.ingest.max_minutes
        deadline = monotonic() + 60 * most
        with show_ingest() as watch, mapping_blocks(settings) as map_blocks:
            for left, one in zip(range(len(sources), 0, -1), sources, strict=True):
                minutes = max((deadline - monotonic()) / 60 / left, most / len(sources))  # to store takes time, too
                done = links.attempt(ingest_source, settings, one, now, start, watch, map_blocks, moment, minutes)
                if done is not None:
                    ingested.append(done)
                    _log.info("%s", done)
        warned = links.attempt(find_warnings, settings, moment) or []
        lines = [f"- {one}" for one in [*ingested, *(f"failed: {error}" for error in links.errors), *warned]]
        show_summary(
            "ingest",
            "\n".join(lines) or "There is no source.",
            [vars(one) | {"flagged": one.flagged.total()} for one in ingested],
        )
        for warning in warned:
            _log.warning("%s", warning)
            with tolerated("no event"):
                emit_event(
                    warning.event,
                    {"prefect.resource.id": f"daycast.station.{warning.station_id}"},
                    payload=warning.payload(),
                )
        links.raise_failures()
    return ingested
