"""Compute the blocks of a step on several workers, each block as a Prefect task; `compute.task_runner` chooses the workers."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from os import cpu_count
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.callables import get_call_parameters

from daycast.errors import WorkerError, tolerated
from daycast.settings import Settings
from daycast.steps.map_blocks import MapBlocks

_BLOCKS_PER_WORKER = 2  # submitted at a time, to bound memory
A = TypeVar("A")
B = TypeVar("B")
Lost = tuple[type[Exception], ...]


@dataclass(frozen=True)
class Workers:
    """A task runner that has started."""

    runner: TaskRunner[Any]
    count: int
    lost: Lost = ()  # the exceptions it raises if a worker is gone


@contextmanager
def mapping_blocks(settings: Settings) -> Iterator[MapBlocks]:
    """Yield a `map_blocks` for a step. It starts workers when it gets more than one block; they stop at the end.

    On machines of one kind, the same blocks give bit-equal results, whichever worker computes them; differently cut blocks
    agree to rounding. `map_blocks` raises WorkerError if no dask scheduler answers or workers are lost repeatedly.
    """
    compute = settings.compute
    if compute.task_runner == "process":
        yield map
        return
    flow = copy_context()  # blocks are tasks of the flow, not of the calling task, whose arguments cannot be pickled
    workers = compute.workers or cpu_count() or 1
    stack = ExitStack()

    @cache
    def started() -> Workers:
        if compute.task_runner == "thread":
            return Workers(stack.enter_context(ThreadPoolTaskRunner(max_workers=workers)), workers)
        return stack.enter_context(_dask(compute.dask_address, workers))

    def map_blocks(compute: Callable[[A], B], blocks: Iterable[A], /) -> Iterable[B]:
        blocks = iter(blocks)
        first = list(islice(blocks, 2))
        return map(compute, first) if len(first) < 2 else _in_order(started(), flow, compute, chain(first, blocks))

    try:
        yield map_blocks
    finally:
        with tolerated("the workers did not stop cleanly"):  # their results are complete
            stack.__exit__(*sys.exc_info())


@contextmanager
def _dask(address: str | None, workers: int) -> Iterator[Workers]:
    import dask

    quietly = {
        "logging.distributed": "error",
        "distributed.admin.large-graph-warning-threshold": "1GB",
        "distributed.scheduler.allowed-failures": 1,  # a block that kills a second worker is itself the cause
    }
    local = {"n_workers": workers, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    dask.config.set(quietly)  # not as a context: the imports below add settings of their own
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from prefect_dask import DaskTaskRunner

    with DaskTaskRunner(address=address, cluster_kwargs=None if address else local) as runner:
        try:
            count = len(runner.client.nthreads())
        except OSError as error:
            message = f"no dask scheduler answers at {address}: start it, or leave dask_address out"
            raise WorkerError(f"{message} ({error})") from None
        yield Workers(runner, max(count, 1), (KilledWorker, FutureCancelledError, OSError))


def _in_order(workers: Workers, flow: Context, compute: Callable[[A], B], blocks: Iterable[A]) -> Iterator[B]:
    """The results of the blocks, in the order of the blocks."""
    block_task = task(compute, cache_policy=NO_CACHE)
    pending: deque[Any] = deque()
    for block in blocks:
        if len(pending) == _BLOCKS_PER_WORKER * workers.count:
            yield _result(pending.popleft(), workers.lost)
        pending.append(flow.run(workers.runner.submit, block_task, get_call_parameters(compute, (block,), {})))
    while pending:
        yield _result(pending.popleft(), workers.lost)


def _result(future: Any, lost: Lost) -> Any:
    try:
        return future.result()
    except lost as error:
        raise WorkerError(
            f"a block was lost with its worker more than once ({error}): see the log of the workers"
        ) from error
