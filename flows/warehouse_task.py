"""Tasks that take the warehouse slot: runs of workers wait for each other before they open the warehouse.

In the run of a worker, a task whose error may pass by itself (`DaycastError.may_pass`: a source or lake that does not answer for
a moment) is repeated twice. Every step can be repeated: what it wrote it replaces. In a terminal the user repeats the command.

A task holds the slot only while it has the warehouse open. Downloads, model passes and drawing hold no slot, so that a slow
source delays nobody else. The slot is a global concurrency limit of the Prefect server, created with the deployments; a killed
run keeps it for one more minute. The lock of the file remains the real mutex: it also separates processes that no server knows.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.sync import concurrency

from daycast.errors import DaycastError, tolerated
from daycast.service.server import WAREHOUSE_SLOT
from daycast.warehouse.warehouse import holding_slot

_LEASE_S = 60  # the shortest that Prefect grants
_RETRY_AFTER_S = [10.0, 40.0]
_LONGEST_TO_REPEAT = timedelta(minutes=3)  # since the first attempt began
_RUN_OF_A_WORKER = "PREFECT__FLOW_RUN_ID"  # Prefect sets it in the process of a run that a worker started
P = ParamSpec("P")
R = TypeVar("R")


def warehouse_task(step: Callable[P, R]) -> Task[P, R]:
    """A task that calls `step` and takes the slot whenever the step opens the warehouse.

    It fails if a worker runs it and the server has no such slot.
    """

    @wraps(step)
    def take_turns(*args: P.args, **named: P.kwargs) -> R:
        with holding_slot(_slot):
            return step(*args, **named)

    return task(
        take_turns,
        name=step.__name__,
        task_run_name=partial(_name, step.__name__),
        cache_policy=NO_CACHE,  # the arguments do not determine the result
        retries=len(_RETRY_AFTER_S),
        retry_delay_seconds=_RETRY_AFTER_S,
        retry_condition_fn=_is_worth_repeating,
    )


def _name(step: str, parameters: Mapping[str, Any]) -> str:
    """The name of a run of the task: what it does, and to which source, so that lines and graphs of runs can be read."""
    source = parameters.get("source")
    return f"{step} {source.name}" if source else step


def _is_worth_repeating(_task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task of a worker's run is repeated: the error may pass, and trying took little time from what follows."""
    if _RUN_OF_A_WORKER not in os.environ:
        return False
    error = state.result(raise_on_failure=False)
    took = datetime.now(UTC) - run.start_time if run.start_time else timedelta(0)
    return isinstance(error, DaycastError) and error.may_pass and took < _LONGEST_TO_REPEAT


@contextmanager
def _slot() -> Iterator[None]:
    if _RUN_OF_A_WORKER not in os.environ:  # a killed command must be able to start again at once
        yield
        return
    held = ExitStack()
    # if the lease cannot be renewed, the task goes on: the file is locked anyway
    held.enter_context(
        concurrency(WAREHOUSE_SLOT, strict=True, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False)
    )
    try:
        yield
    finally:
        with tolerated("the warehouse slot becomes free only in a minute"):  # the writes are committed
            held.close()
