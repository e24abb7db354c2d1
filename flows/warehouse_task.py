"""One writer: while a task has the warehouse open it holds the one slot for that, so that runs wait for their turn.

Downloads, passes of the model and drawing hold no slot: what is slow delays nobody else. The slot is a global concurrency limit
of the Prefect server, made with the deployments; a run that is killed has it for another minute. The file's own lock stays the
real mutex: it also keeps apart what no server knows of.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency

from daycast.errors import tolerated
from daycast.service.server import WAREHOUSE_SLOT
from daycast.warehouse.warehouse import holding_slot

_LEASE_S = 60  # the shortest that Prefect grants
_RUN_OF_A_WORKER = "PREFECT__FLOW_RUN_ID"  # Prefect sets it where a run has a process of its own
P = ParamSpec("P")
R = TypeVar("R")


def warehouse_task(step: Callable[P, R]) -> Task[P, R]:
    """A task that calls `step`, which takes the slot whenever it opens the warehouse. Without a slot on the server it fails."""

    @wraps(step)
    def take_turns(*args: P.args, **named: P.kwargs) -> R:
        with holding_slot(_slot):
            return step(*args, **named)

    return task(take_turns, name=step.__name__, cache_policy=NO_CACHE)  # what it reads is not among its arguments


@contextmanager
def _slot() -> Iterator[None]:
    if _RUN_OF_A_WORKER not in os.environ:  # a command that somebody waits for may be killed and started again at once
        yield
        return
    held = ExitStack()
    # what is at work when the server cannot be asked for longer goes on: the file is locked anyway
    held.enter_context(
        concurrency(WAREHOUSE_SLOT, strict=True, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False)
    )
    try:
        yield
    finally:
        with tolerated("the slot of the warehouse is free only in a minute"):  # what was written is written
            held.close()
