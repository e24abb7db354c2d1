"""Several processes that train one network together: each draws windows of its own, and all take the mean of their gradients."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from daycast.errors import ConfigError
from daycast.model.device import choose_device

# Work that is done side by side on a CPU: each part by a thread, none waits for another within an operation.
#
# A recurrent network is a chain of small operations. Two threads that share each of them are hardly faster than one, and on
# a busy machine many times slower, because at every operation one waits for the other. Two threads with a network or a
# batch each do twice as much.
#
# Subnormal numbers count as zero meanwhile. Gradients that vanish over 168 steps are such numbers, and a CPU takes a
# hundred times as long for each of them: a training would take four times as long.


Part = TypeVar("Part")
Result = TypeVar("Result")
_one_at_a_time = threading.Lock()
_own = threading.local()  # `flushes`: whether subnormal numbers are zero to this thread


def threads_for(device: torch.device) -> int:
    """How many parts are worth working on at once: one for each of torch's threads on a CPU, on any other device one in all."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def run_parallel(work: Callable[[Part], Result], parts: Sequence[Part], threads: int) -> list[Result]:
    """What `work` makes of each part, in their order, by so many threads, among which torch's own are divided.

    With one thread it is the calling one. What torch keeps for a thread (inference or autocast mode) `work` sets itself, and of
    torch's only generator of random numbers it must not draw: whose turn it were would be chance. Where the caller is interrupted
    the work goes on until it ends of itself.
    """
    if threads <= 1 or not parts:
        with _flushing():
            return [work(part) for part in parts]
    pool = _start_threads(min(threads, len(parts)), max(torch.get_num_threads() // threads, 1))
    try:
        return list(pool.map(work, parts))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _flushing() -> Iterator[None]:
    """Subnormal numbers are zero to this thread for the length of the block, where the processor can do that."""
    if getattr(_own, "flushes", False):
        yield
        return
    _own.flushes = torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        _own.flushes = False


def _start_threads(count: int, share: int) -> ThreadPoolExecutor:
    """So many, each with its share of torch's threads.

    To set it is also to set what any thread that is yet to begin finds, so that the caller sets that back before anything else.
    """
    pool, settled = ThreadPoolExecutor(count), threading.Barrier(count + 1)

    def settle() -> None:
        torch.get_num_threads()  # a thread's first question sets its number to what all begin with
        torch.set_num_threads(share)
        _own.flushes = torch.set_flush_denormal(True)
        settled.wait()

    with _one_at_a_time:
        for _ in range(count):
            pool.submit(settle)
        settled.wait()
        torch.set_num_threads(torch.get_num_threads())
    return pool


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that train together; by default it is alone, and nothing is exchanged."""

    rank: int = 0
    size: int = 1
    device: str | torch.device = "cpu"

    def average_gradients(self, net: nn.Module) -> None:
        """Give every process the mean of the gradients of all."""
        if self.size == 1:
            return
        import torch.distributed as dist  # noqa: PLC0415 - only where there are several

        gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(together)
        parts = (together / self.size).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def all_of(self, number: float) -> list[float]:
        """The number that each process came with, in the order of their ranks."""
        if self.size == 1:
            return [number]
        import torch.distributed as dist  # noqa: PLC0415

        mine = torch.tensor([number], dtype=torch.float64, device=self.device)
        numbers = [torch.zeros_like(mine) for _ in range(self.size)]
        dist.all_gather(numbers, mine)
        return [other.item() for other in numbers]

    def of_first(self, number: float) -> float:
        """The number that the first process came with."""
        return self.all_of(number)[0]


ALONE = Ranks()


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """The processes that torch's launcher started, this among them: NCCL between GPUs, one each, and gloo between CPUs.

    Raises ConfigError where there are more processes than GPUs.
    """
    import torch.distributed as dist  # noqa: PLC0415

    place = choose_device(device)
    if place.type == "cuda":
        local, valid = dist.get_node_local_rank(0), torch.cuda.device_count()
        if local >= valid:
            raise ConfigError(
                f"model.processes asks for more GPUs than the {valid} of this machine: choose at most that"
            )
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()
