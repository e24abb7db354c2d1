"""The direct decoder: all leads in one pass, none reads another's forecast, so that no error is carried on."""

from collections.abc import Callable

from torch import Tensor

from daycast.model.architectures.cells import Cell, State


def decode_directly(cell: Cell, known: Tensor, state: State, read_out: Callable[[Tensor], Tensor]) -> Tensor:
    """What `read_out` makes of the cell's outputs, (B, H, V, Q). known (B, H, K): of the horizon; state: the encoder's at t0.

    Taieb, Bontempi, Atiya & Sorjamaa (2012), doi:10.1016/j.eswa.2012.01.039, on direct and recursive strategies.
    """
    return read_out(cell(known, state)[0])
