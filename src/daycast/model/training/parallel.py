"""Threads and processes: `run_parallel` and `map_parallel` share work among threads of a CPU, `Ranks` is for several processes.

Why a thread each: a recurrent network is a chain of small operations. Two threads that share every operation are hardly faster
than one, and on a busy machine many times slower, because each waits for the other. Two threads that work on a network or a
batch each do twice as much.

Subnormal numbers are flushed to zero in these threads. Gradients that vanish over 168 steps become such numbers, and a CPU takes
a hundred times as long for each: training would take four times as long.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeVar

import torch
from torch import nn

from daycast.errors import ConfigError
from daycast.model.device import choose_device

Part = TypeVar("Part")
Result = TypeVar("Result")
_start_lock = threading.Lock()
# `flushes`: whether this thread flushes subnormal numbers to zero; `outermost`: torch's number before any of these threads
_thread_state = threading.local()


def threads_for(device: torch.device) -> int:
    """How many parts to work on at once: torch's number of threads on a CPU, 1 on any other device."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def run_parallel(work: Callable[[Part], Result], parts: Sequence[Part], threads: int) -> list[Result]:
    """Apply `work` to each part in that many threads, and return the results in the order of the parts.

    Torch's own threads are divided among them. With one thread, the calling thread does the work.
    `work` must set torch's thread-local modes (inference, autocast) itself, and must not draw from torch's global random
    generator, because the order of the threads is not fixed. If the caller is interrupted, begun parts still finish.
    """
    if threads <= 1 or not parts:
        with _flush_subnormals():
            return [work(part) for part in parts]
    pool = _start_threads(min(threads, len(parts)), max(torch.get_num_threads() // threads, 1))
    try:
        return list(pool.map(work, parts))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def map_parallel(work: Callable[[Part], Result], parts: Iterable[Part], threads: int) -> Iterator[Result]:
    """As `run_parallel`, but yields each result as it is asked for; only a few parts are taken ahead of that, to bound memory."""
    if threads <= 1:
        for part in parts:
            with _flush_subnormals():
                result = work(part)
            yield result
        return
    parts = iter(parts)
    first = list(islice(parts, threads))
    if not first:
        return
    pool = _start_threads(len(first), max(torch.get_num_threads() // threads, 1))
    begun: deque[Future[Result]] = deque()
    try:
        for part in chain(first, parts):
            begun.append(pool.submit(work, part))
            if len(begun) > threads:  # one more than are worked on, so that no thread waits for the caller
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _flush_subnormals() -> Iterator[None]:
    """Flush subnormal numbers to zero in this thread for the length of the block, if the processor can."""
    if getattr(_thread_state, "flushes", False):
        yield
        return
    _thread_state.flushes = torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        _thread_state.flushes = False


def _start_threads(count: int, torch_threads: int) -> ThreadPoolExecutor:
    """Start threads with `torch_threads` of torch's threads each.

    Setting torch's number in one thread also sets what threads that start later begin with. Therefore that is set again at once,
    to what it was before the outermost of threads within threads, in one more thread.
    """
    pool, ready = ThreadPoolExecutor(count), threading.Barrier(count + 1)
    outermost = getattr(_thread_state, "outermost", torch.get_num_threads())

    def configure() -> None:
        torch.get_num_threads()  # the first call in a thread sets its number to the default of all
        torch.set_num_threads(torch_threads)
        _thread_state.flushes, _thread_state.outermost = torch.set_flush_denormal(True), outermost
        ready.wait()

    with _start_lock:
        for _ in range(count):
            pool.submit(configure)
        ready.wait()
        again = threading.Thread(target=torch.set_num_threads, args=[outermost])
        again.start()
        again.join()
    return pool


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that train one network together on separate batches. By default it is alone."""

    rank: int = 0
    size: int = 1
    device: str | torch.device = "cpu"

    def average_gradients(self, net: nn.Module) -> None:
        """Replace the gradients in every process by their mean over all processes."""
        if self.size == 1:
            return
        import torch.distributed as dist  # noqa: PLC0415 - only where there are several

        gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(together)
        parts = (together / self.size).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def gather(self, number: float) -> list[float]:
        """The number of each process, by rank. All processes must call it."""
        if self.size == 1:
            return [number]
        import torch.distributed as dist  # noqa: PLC0415

        mine = torch.tensor([number], dtype=torch.float64, device=self.device)
        numbers = [torch.zeros_like(mine) for _ in range(self.size)]
        dist.all_gather(numbers, mine)
        return [other.item() for other in numbers]

    def first(self, number: float) -> float:
        """The number of the process with rank 0. All processes must call it."""
        return self.gather(number)[0]


ALONE = Ranks()


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that torch's launcher started: NCCL between GPUs, one GPU per process, gloo between CPUs.

    Raises ConfigError if there are more processes than GPUs.
    """
    import torch.distributed as dist  # noqa: PLC0415

    own = choose_device(device)
    if own.type == "cuda":
        local, available = dist.get_node_local_rank(0), torch.cuda.device_count()
        if local >= available:
            raise ConfigError(
                f"model.processes asks for more GPUs than the {available} of this machine: choose at most that"
            )
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), own)
    finally:
        dist.destroy_process_group()
