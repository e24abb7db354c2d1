"""One writer: a task that opens the warehouse holds the one slot for it, so that runs wait for their turn, and not for the file.

The slot is a global concurrency limit of the Prefect server, made with the deployments; a run that is killed has it for another
minute. The file's own lock stays the real mutex: it also keeps apart what no server knows of.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency

from daycast.live.server import WAREHOUSE_SLOT

_LEASE_S = 60  # the shortest that Prefect grants
_RUN_OF_A_WORKER = "PREFECT__FLOW_RUN_ID"  # Prefect sets it where a run has a process of its own
P = ParamSpec("P")
R = TypeVar("R")


def warehouse_task(step: Callable[P, R]) -> Task[P, R]:
    """A task that takes the slot, calls `step`, and gives the slot back. Without a slot on the server the task fails."""

    @wraps(step)
    def hold_slot(*args: P.args, **named: P.kwargs) -> R:
        with _slot():
            return step(*args, **named)

    return task(hold_slot, name=step.__name__, cache_policy=NO_CACHE)  # what it reads is not among its arguments


def _slot() -> AbstractContextManager[None]:
    if (
        _RUN_OF_A_WORKER not in os.environ
    ):  # a command that somebody waits for: it may be killed and started again at once
        return nullcontext()
    # what is at work when the server cannot be asked for longer goes on: the file is locked anyway
    return concurrency(WAREHOUSE_SLOT, strict=True, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False)
