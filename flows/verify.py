"""Score past forecasts against what came."""

import logging

from prefect import flow
from prefect.events import emit_event

from daycast.flows.artifacts import show_summary
from daycast.flows.links import Links
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import Moment, as_of, clock, load_settings
from daycast.steps import calibrate as calibrating
from daycast.steps import verify as drifting
from daycast.steps import verify as steps
from daycast.steps.record_run import recorded

_log = logging.getLogger("daycast")
verify_forecasts = warehouse_task(steps.verify_forecasts)
note_drifts = warehouse_task(drifting.note_drifts)
calibrate = warehouse_task(calibrating.calibrate)


@flow
def verify(config: str | None = None, until: Moment | None = None) -> int:
    """Bring the scores up to date, and once a week the champion's calibration; returns how many forecasts were scored.

    Where the champion's forecasts have drifted, that is an event of the orchestrator, once, which calls for a retraining. Scores,
    drifts and calibration are links of their own: what failed is raised at the end, as one error.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        until: Only with what was observed and received up to this moment (ISO 8601); by default now.
    """
    settings, now = load_settings(config), clock()
    moment = as_of(until, now)
    with recorded(settings, "verify", moment, clock):
        links = Links()
        scored = links.attempt(verify_forecasts, settings, now, moment if until else None)
        if scored is not None:
            _log.info("%d forecasts scored against what came", scored)
        model_id, drifts = links.attempt(note_drifts, settings, now, moment) or (None, [])
        told = [drift.tell(drift.variable) for drift in drifts]
        for line in told:
            _log.warning("drift of %s", line)
        if drifts:
            variables = ", ".join(sorted({drift.variable for drift in drifts}))
            resource = {"prefect.resource.id": f"daycast.model.{model_id}", "daycast.variables": variables}
            links.attempt(emit_event, "daycast.drift", resource, payload={"drifts": told})
        due = links.attempt(calibrate, settings, moment)
        learnt = "The champion's calibration was renewed." if due else "No calibration was due."
        rest = "".join(f"\n\nDrift of {line}" for line in told)
        rest += "".join(f"\n\nFailed: {error}" for error in links.errors)
        show_summary("verify", f"{scored or 'No'} forecasts scored against what came. {learnt}{rest}")
        links.raise_failures()
    return scored or 0
