"""How a run shows itself: its name, its link to the pages of Prefect, and how it ends if it did nothing.

`named` makes the names of runs. `alone` cancels a run whose flow is at work already. `planned` and `skipped` are how runs end
that changed nothing. No trigger and no alert of ours waits for these states, nor for that of a dry run that failed.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL
from prefect.states import Cancelled, Completed, Failed

from daycast.errors import ConfigError, DaycastError, describe, raise_interrupt, tolerated
from daycast.settings import clock
from daycast.times import floor_hour, parse_time

PLANNED, SKIPPED, PLAN_FAILED = "Planned", "Skipped", "PlanFailed"  # names of states; the last is of type FAILED
_AT_WORK = {"type": {"any_": ["RUNNING", "CANCELLING"]}}
_log = logging.getLogger("daycast")
P = ParamSpec("P")
R = TypeVar("R")


def named(flow: str, *what: str, full_hour: bool = False) -> Callable[[], str]:
    """A function that names the run it is called in: the flow, the first given parameter of `what`, and the time it stands for.

    For example `forecast 2026-11-28T10Z`, `retrain lstm 2026-11-28T10:05Z`, `dry run: backfill 2026-11-20T00Z to 2026-11-21T00Z`.
    full_hour: the time is the last full hour.
    """

    def name() -> str:
        given = {key: value for key, value in flow_run.parameters.items() if value}
        words = ["dry run:"] if given.get("dry_run") else []
        words += [flow, *[str(given[key]) for key in what if key in given][:1]]
        if "since" in given:
            words += [_show_time(given["since"]), "to"]
        return " ".join([*words, _show_time(given.get("issued_at") or given.get("until"), full_hour=full_hour)])

    return name


def _show_time(text: str | None, *, full_hour: bool = False) -> str:
    """A time as short as it can be; the present one if there is no text. A text that is no time stays as it is."""
    try:
        moment = parse_time(text) if text else clock()
    except ConfigError:
        return str(text)
    moment = floor_hour(moment) if full_hour else moment
    return f"{moment:%Y-%m-%dT%HZ}" if moment == floor_hour(moment) else f"{moment:%Y-%m-%dT%H:%MZ}"


def alone(flow: Callable[P, R]) -> Callable[P, R]:
    """The function of a flow whose deployment runs once at a time: a run that finds another one at work is cancelled.

    A dry run neither waits for others nor stops them. Runs that belong to no deployment always run. A run that fails ends with
    the one line of its error.
    """

    @wraps(flow)
    def run_alone(*args: P.args, **named: P.kwargs) -> R:
        is_dry, other = bool(flow_run.parameters.get("dry_run")), None
        if not is_dry:
            with tolerated("whether another run is at work is unknown"):  # the warehouse is locked anyway
                other = _find_other()
        if other is None:
            return _attempt(flow, is_dry, *args, **named)
        _log.info("%s is at work: it makes up for this run, which is cancelled", other.name)
        return cast(R, Cancelled(message=f"{other.name} is at work."))

    return run_alone


def _attempt(flow: Callable[P, R], is_dry: bool, *args: P.args, **named: P.kwargs) -> R:
    """Do a run. If it fails, its state says why and raises the error again; that of a dry run has a name nobody waits for.

    An unexpected error is raised at once, so that the log of the run has its traceback.
    """
    try:
        return flow(*args, **named)
    except Exception as error:
        raise_interrupt(error)
        is_told = isinstance(error, DaycastError) and FlowRunContext.get() is not None
        if not is_dry and not is_told:
            raise
        return cast(R, Failed(name=PLAN_FAILED if is_dry else "Failed", message=describe(error), data=error))


def _find_other() -> FlowRun | None:
    """The run of the same deployment that began before this one and still works.

    Each run looks after the server has noted its own start, so of two that start together exactly one finds the other.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return None
    with get_client(sync_client=True) as client:
        at_work = client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"state": _AT_WORK}),
            deployment_filter=DeploymentFilter.model_validate({"id": {"any_": [run.deployment_id]}}),
            sort=FlowRunSort.START_TIME_ASC,
        )
    real = [one for one in at_work if one.start_time and not one.parameters.get("dry_run")]
    first = min(real, key=lambda one: (one.start_time, one.id), default=None)
    return None if first is None or first.id == run.id else first


def planned(text: str, result: R) -> R:
    """End a dry run that returns `result`; `text` says what would be done."""
    _log.info("%s", text)
    return cast(R, Completed(name=PLANNED, message=text, data=result))


def skipped(text: str, result: R) -> R:
    """End a run that has nothing to do, which is no failure, and returns `result`; `text` says why, in Prefect's last line."""
    return cast(R, Completed(name=SKIPPED, message=text, data=result))


def page_of(kind: str, which: UUID) -> str:
    """The address of an artifact (`artifacts/artifact`) or a run (`runs/flow-run`) on Prefect's pages."""
    pages = PREFECT_UI_URL.value() or (PREFECT_API_URL.value() or "").removesuffix("/api")
    return f"{pages}/{kind}/{which}"
