"""The type of `map_blocks`: how a step computes its blocks of stations, one after the other or on a flow's workers."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class MapBlocks(Protocol):
    """Like the built-in `map`: yields the result of a pure function for each block, in the order of the blocks."""

    def __call__(self, compute: Callable[[A], B], blocks: Iterable[A], /) -> Iterable[B]: ...  # noqa: D102 - says the class
