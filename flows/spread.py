"""The blocks of a step on the workers that `compute.task_runner` asks for, each as a task of the orchestrator."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from os import cpu_count
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.callables import get_call_parameters

from daycast.errors import WorkerError
from daycast.settings import Settings
from daycast.steps.spread import Spread

_AHEAD = 2  # blocks a worker that are under way, to bound memory
A = TypeVar("A")
B = TypeVar("B")
Lost = tuple[type[Exception], ...]


@contextmanager
def spreading(settings: Settings) -> Iterator[Spread]:
    """What a step computes its blocks with, for as long as the workers are there: they are started, and stopped in the end.

    Raises WorkerError where no dask scheduler answers; and out of the blocks, where their workers are lost again and again.
    """
    compute = settings.compute
    workers = compute.workers or cpu_count() or 1
    if compute.task_runner == "process":
        yield map
    elif compute.task_runner == "thread":
        with ThreadPoolTaskRunner(max_workers=workers) as threads:
            yield _in_order(threads, workers, ())
    else:
        with _dask(compute.dask_address, workers) as spread:
            yield spread


@contextmanager
def _dask(address: str | None, workers: int) -> Iterator[Spread]:
    import dask

    quietly = {
        "logging.distributed": "error",
        "distributed.admin.large-graph-warning-threshold": "1GB",
        "distributed.scheduler.allowed-failures": 1,  # a block that its second worker does not survive is at fault itself
    }
    here = {"n_workers": workers, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with dask.config.set(quietly):
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError
        from prefect_dask import DaskTaskRunner

        with DaskTaskRunner(address=address, cluster_kwargs=None if address else here) as runner:
            try:
                workers = len(runner.client.nthreads())
            except OSError as error:
                said = f"no dask scheduler answers at {address}: start it, or leave dask_address out"
                raise WorkerError(f"{said} ({error})") from None
            yield _in_order(runner, max(workers, 1), (KilledWorker, FutureCancelledError, OSError))


def _in_order(runner: TaskRunner[Any], workers: int, lost: Lost) -> Spread:
    """Blocks are tasks of the flow that is here, and not of the task that asks for them, whose arguments cannot travel."""
    flow = copy_context()

    def spread(compute: Callable[[A], B], blocks: Iterable[A], /) -> Iterator[B]:
        block_task = task(compute, cache_policy=NO_CACHE)
        under_way: deque[Any] = deque()
        for block in blocks:
            if len(under_way) == _AHEAD * workers:
                yield _result(under_way.popleft(), lost)
            under_way.append(flow.run(runner.submit, block_task, get_call_parameters(compute, (block,), {})))
        while under_way:
            yield _result(under_way.popleft(), lost)

    return spread


def _result(future: Any, lost: Lost) -> Any:
    try:
        return future.result()
    except lost as error:
        raise WorkerError(
            f"a block was lost with its worker, more than once ({error}): see the log of the workers"
        ) from error
