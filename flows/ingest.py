"""Ingest new readings from every source."""

import logging
from collections.abc import Sequence
from time import monotonic

from prefect import flow
from prefect.events import emit_event

from daycast.errors import tolerated
from daycast.flows.artifacts import show_summary
from daycast.flows.map_blocks import mapping_blocks
from daycast.flows.runs import alone, named
from daycast.flows.stages import Stages
from daycast.flows.warehouse_task import warehouse_task
from daycast.report.progress import show_ingest
from daycast.settings import Moment, as_of, clock, load_settings
from daycast.steps import ingest as ingest_steps
from daycast.steps import station_warnings
from daycast.steps.record_run import recorded
from daycast.times import parse_time

_log = logging.getLogger("daycast")
ingest_source = warehouse_task(ingest_steps.ingest_source)
find_warnings = warehouse_task(station_warnings.find_warnings)


@flow(flow_run_name=named("ingest", "source"))
@alone
def ingest(
    config: str | None = None,
    source: str | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    reread: str | None = None,
) -> list[ingest_steps.Ingested]:
    """Ingest every source, or only `source`, from `since` or from the end of the last run; returns what each source brought.

    If a source fails, the others are still read, and all errors are raised at the end as one. Together the sources may take
    `ingest.max_minutes`: each gets an equal share of the time that is left. A silent station, or one whose clock is not UTC,
    becomes a Prefect event.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        source: Only the source of this name.
        since: From this time on, instead of from the end of the last run (ISO 8601).
        until: Only what was received up to this time (ISO 8601); by default now.
        reread: Read only the source of this name, again: what was observed from `since` on, to correct what was read wrongly.
    """
    settings, now = load_settings(config), clock()
    moment = as_of(until, now)
    start = parse_time(since) if since else None
    with recorded(settings, "ingest", moment, clock):
        ingested, doubts, stages = [], list[str](), Stages()
        sources, max_minutes = ingest_steps.choose_sources(settings, reread or source), settings.ingest.max_minutes
        deadline = monotonic() + 60 * max_minutes
        with show_ingest() as watch, mapping_blocks(settings) as map_blocks:
            for left, one in zip(range(len(sources), 0, -1), sources, strict=True):
                # at least an equal share of the whole, because storing earlier sources took time as well
                minutes = max((deadline - monotonic()) / 60 / left, max_minutes / len(sources))
                given = (settings, one, now, start, watch, map_blocks, moment, minutes)
                done = stages.run(ingest_source, *given, reread=reread is not None)
                if done is not None:
                    ingested.append(done)
                    _log.info("%s", done)
                    doubts += [f"{done.source}: {doubt}" for doubt in done.doubts]
        warnings = stages.run(find_warnings, settings, moment) or []
        told = [*ingested, *(f"failed: {error}" for error in stages.errors), *doubts, *warnings]
        show_summary(
            "ingest",
            "\n".join([f"{_headline(ingested, len(sources))}\n", *(f"- {one}" for one in told)]),
            settings,
            [vars(one) | {"flagged": one.flagged.total(), "doubts": len(one.doubts)} for one in ingested],
            each_row="What each source brought, in rows.",
        )
        for doubt in doubts:
            _log.warning("%s", doubt)
        for warning in warnings:
            _log.warning("%s", warning)
            with tolerated("no event"):
                emit_event(
                    warning.event,
                    {"prefect.resource.id": f"daycast.station.{warning.station_id}"},
                    payload=warning.payload(),
                )
        stages.raise_errors()
    return ingested


def _headline(ingested: Sequence[ingest_steps.Ingested], sources: int) -> str:
    """How many of the sources were read, and what they brought, in one line."""
    new = sum(one.kept - one.repeated for one in ingested)
    return f"{len(ingested)} of {sources} sources read: {new:,} new rows, {sum(one.refused for one in ingested):,} refused."
