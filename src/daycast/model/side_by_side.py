"""Work that is done side by side on a CPU: each part by a thread, none waits for another within an operation.

A recurrent network is a chain of small operations. Two threads that share each of them are hardly faster than one, and on a busy
machine many times slower, for at every operation one waits for the other. Two threads with a network or a batch each do twice as
much.

Subnormal numbers count as zero meanwhile. Gradients that vanish over 168 steps are such numbers, and a CPU takes a hundred times
as long for each of them: a training would take four times as long.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")
_one_at_a_time = threading.Lock()
_own = threading.local()  # `flushes`: whether subnormal numbers are zero to this thread


def threads_for(device: torch.device) -> int:
    """How many parts are worth working on at once: one for each of torch's threads on a CPU, on any other device one in all."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def side_by_side(work: Callable[[Part], Result], parts: Sequence[Part], threads: int) -> list[Result]:
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
