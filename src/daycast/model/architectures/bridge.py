"""From the two last states of a bidirectional encoder to the one a decoder starts from."""

import torch
from torch import Tensor, nn

from daycast.model.architectures.cells import State


class Bridge(nn.Module):
    """A linear map from both directions' states of each layer to one; hidden and cell state of an LSTM have each their own.

    Schuster & Paliwal (1997), doi:10.1109/78.650093, for the two directions.
    """

    def __init__(self, hidden: int, parts: int) -> None:
        """hidden: D of each direction and of the decoder; parts: of a state, 2 of an LSTM's."""
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(2 * hidden, hidden) for _ in range(parts))

    def forward(self, state: State) -> State:
        """From states (2 · layers, B, D), the directions of a layer in turn as torch returns them, to (layers, B, D)."""
        if isinstance(state, Tensor):
            return self.maps[0](_side_by_side(state))
        hidden, cell = state
        return self.maps[0](_side_by_side(hidden)), self.maps[1](_side_by_side(cell))


def _side_by_side(state: Tensor) -> Tensor:
    return torch.cat([state[0::2], state[1::2]], dim=2)  # (layers, B, 2D)
