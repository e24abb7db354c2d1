"""How the blocks of a step are computed: one after the other by `map`, or by whatever workers a flow has for them."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class MapBlocks(Protocol):
    """What `map` is: the results of a pure function of the library for each block, in the order of the blocks."""

    def __call__(self, compute: Callable[[A], B], blocks: Iterable[A], /) -> Iterable[B]: ...  # noqa: D102 - says the class
