"""The blocks of a step on the workers that `compute.task_runner` asks for, each as a task of the orchestrator."""

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

_AHEAD = 2  # blocks a worker that are under way, to bound memory
A = TypeVar("A")
B = TypeVar("B")
Lost = tuple[type[Exception], ...]


@dataclass(frozen=True)
class Workers:
    """A task runner that has started."""

    runner: TaskRunner[Any]
    count: int
    lost: Lost = ()  # what it raises where a worker is gone


@contextmanager
def mapping_blocks(settings: Settings) -> Iterator[MapBlocks]:
    """What a step computes its blocks with. Workers are started when there are several blocks, and stopped in the end.

    The same blocks give the same bits on machines of one kind, whoever computes them; other blocks agree to rounding.
    Where no dask scheduler answers, or workers are lost again and again, what is computed with it raises WorkerError.
    """
    asked = settings.compute
    if asked.task_runner == "process":
        yield map
        return
    flow = copy_context()  # whose tasks the blocks are; not of the task that asks for them: its arguments cannot travel
    workers = asked.workers or cpu_count() or 1
    stack = ExitStack()

    @cache
    def started() -> Workers:
        if asked.task_runner == "thread":
            return Workers(stack.enter_context(ThreadPoolTaskRunner(max_workers=workers)), workers)
        return stack.enter_context(_dask(asked.dask_address, workers))

    def map_blocks(compute: Callable[[A], B], blocks: Iterable[A], /) -> Iterable[B]:
        blocks = iter(blocks)
        first = list(islice(blocks, 2))
        return map(compute, first) if len(first) < 2 else _in_order(started(), flow, compute, chain(first, blocks))

    try:
        yield map_blocks
    finally:
        with tolerated("the workers did not end in order"):  # what they computed stays computed
            stack.__exit__(*sys.exc_info())


@contextmanager
def _dask(address: str | None, workers: int) -> Iterator[Workers]:
    import dask

    quietly = {
        "logging.distributed": "error",
        "distributed.admin.large-graph-warning-threshold": "1GB",
        "distributed.scheduler.allowed-failures": 1,  # a block that its second worker does not survive is at fault itself
    }
    here = {"n_workers": workers, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    dask.config.set(quietly)  # for good: what is imported now adds its own
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from prefect_dask import DaskTaskRunner

    with DaskTaskRunner(address=address, cluster_kwargs=None if address else here) as runner:
        try:
            there = len(runner.client.nthreads())
        except OSError as error:
            said = f"no dask scheduler answers at {address}: start it, or leave dask_address out"
            raise WorkerError(f"{said} ({error})") from None
        yield Workers(runner, max(there, 1), (KilledWorker, FutureCancelledError, OSError))


def _in_order(workers: Workers, flow: Context, compute: Callable[[A], B], blocks: Iterable[A]) -> Iterator[B]:
    block_task = task(compute, cache_policy=NO_CACHE)
    under_way: deque[Any] = deque()
    for block in blocks:
        if len(under_way) == _AHEAD * workers.count:
            yield _result(under_way.popleft(), workers.lost)
        under_way.append(flow.run(workers.runner.submit, block_task, get_call_parameters(compute, (block,), {})))
    while under_way:
        yield _result(under_way.popleft(), workers.lost)


def _result(future: Any, lost: Lost) -> Any:
    try:
        return future.result()
    except lost as error:
        raise WorkerError(
            f"a block was lost with its worker, more than once ({error}): see the log of the workers"
        ) from error
