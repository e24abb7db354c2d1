"""Score past forecasts against the observations, detect drift, and calibrate the champion once a week."""

import logging

from prefect import flow
from prefect.events import emit_event

from daycast.flows.artifacts import show_summary
from daycast.flows.runs import alone, named
from daycast.flows.stages import Stages
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import Moment, as_of, clock, load_settings
from daycast.steps import calibrate as calibrate_steps
from daycast.steps import train
from daycast.steps import verify as verify_steps
from daycast.steps.record_run import recorded

_log = logging.getLogger("daycast")
verify_forecasts = warehouse_task(verify_steps.verify_forecasts)
note_drifts = warehouse_task(verify_steps.note_drifts)
calibrate = warehouse_task(calibrate_steps.calibrate)
find_changes = warehouse_task(train.find_changes)


@flow(flow_run_name=named("verify"))
@alone
def verify(config: str | None = None, until: Moment | None = None) -> int:
    """Bring the scores up to date, and once a week the champion's calibration; returns the number of scored forecasts.

    If the champion's forecasts have drifted, or sources, stations or variables have changed since the last training, a Prefect
    event asks for a retraining. Scores, drift and calibration are separate
    stages: if one fails, the others still run, and all errors are raised at the end as one.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        until: Use only what was observed and received up to this time (ISO 8601); by default now.
    """
    settings, now = load_settings(config), clock()
    moment = as_of(until, now)
    with recorded(settings, "verify", moment, clock):
        stages = Stages()
        scored = stages.run(verify_forecasts, settings, now, moment if until else None)
        if scored is not None:
            _log.info("%d forecasts scored against the observations", scored)
        model_id, drifts = stages.run(note_drifts, settings, now, moment) or (None, [])
        lines = [drift.tell(drift.variable) for drift in drifts]
        for line in lines:
            _log.warning("drift of %s", line)
        if drifts:
            variables = ", ".join(sorted({drift.variable for drift in drifts}))
            resource = {"prefect.resource.id": f"daycast.model.{model_id}", "daycast.variables": variables}
            stages.run(emit_event, "daycast.drift", resource, payload={"drifts": lines})
        changes = stages.run(find_changes, settings, moment) or ()
        for change in changes:
            _log.info("a retraining is due at once: %s", change)
        if changes:
            resource = {"prefect.resource.id": "daycast.network"}
            stages.run(emit_event, "daycast.changed", resource, payload={"changes": list(changes)})
        calibrated = stages.run(calibrate, settings, moment)
        calibration = "The champion's calibration was renewed." if calibrated else "No calibration was due."
        rest = "".join(f"\n\nChanged since the last training: {change}" for change in changes)
        rest += "".join(f"\n\nDrift of {line}" for line in lines)
        rest += "".join(f"\n\nFailed: {error}" for error in stages.errors)
        done = f"{f'{scored:,}' if scored else 'No'} forecasts scored against the observations. {calibration}{rest}"
        show_summary("verify", done, settings)
        stages.raise_errors()
    return scored or 0
