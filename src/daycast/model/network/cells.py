"""Gates that begin open, so that the first hour of a week can be learnt from.

With gates around one half, as they start otherwise, a unit halves what it remembers every hour: after 168 of them nothing is
left, and no gradient comes back to tell it to remember more.
"""

import torch
from torch import Tensor, nn

from daycast.errors import ConfigError

# The recurrent cells that can be chosen, each a fused module that reads all hours in one call.


Cell = nn.GRU | nn.LSTM | nn.RNN
State = Tensor | tuple[Tensor, Tensor]  # of an LSTM its hidden and its cell state; each (layers, B, D)
CELLS: dict[str, type[nn.GRU] | type[nn.LSTM] | type[nn.RNN]] = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}
AUTO = ("gru", "lstm")  # the candidates of `cell = "auto"`; the plain RNN is there to be compared with


def make_cell(
    name: str, inputs: int, hidden_size: int, layers: int = 1, dropout: float = 0.0, *, bidirectional: bool = False
) -> Cell:
    """A cell that reads (B, hours, inputs) and returns (B, hours, D), of both directions (B, hours, 2D), and its last state.

    GRU: Cho et al. (2014), doi:10.3115/v1/D14-1179. LSTM: Hochreiter & Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735, with
    the forget gate of Gers et al. (2000), doi:10.1162/089976600300015015. RNN: Elman (1990), doi:10.1207/s15516709cog1402_1, with
    tanh. dropout: between stacked layers. Raises ConfigError where there is no such cell.
    """
    if name not in CELLS:
        raise ConfigError(f"model.cell is {name!r}, and there is no such cell: choose {', '.join(CELLS)} or auto")
    between = dropout if layers > 1 else 0.0
    return CELLS[name](inputs, hidden_size, layers, batch_first=True, dropout=between, bidirectional=bidirectional)


# Dropout whose random numbers come from a generator that is told, so that several threads can train at once and still repeat.


Generator = torch.Generator | None  # None: torch's own


class Dropout(nn.Module):
    """In training a share of the values is taken out, and the rest is raised to the same sum in the mean.

    Srivastava et al. (2014), JMLR 15(56), 1929.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor, chance: Generator = None) -> Tensor:
        """What is left of values of any shape; but in training, all of them."""
        if not self.training or self.share == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.share, generator=chance)
        return x * kept / (1 - self.share)


# From the two last states of a bidirectional encoder to the one a decoder starts from.


class Bridge(nn.Module):
    """A linear map from both directions' states of each layer to one; hidden and cell state of an LSTM have each their own.

    Schuster & Paliwal (1997), doi:10.1109/78.650093, for the two directions.
    """

    def __init__(self, hidden_size: int, parts: int) -> None:
        """hidden: D of each direction and of the decoder; parts: of a state, 2 of an LSTM's."""
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(2 * hidden_size, hidden_size) for _ in range(parts))

    def forward(self, state: State) -> State:
        """From states (2 · layers, B, D), the directions of a layer in turn as torch returns them, to (layers, B, D)."""
        if isinstance(state, Tensor):
            return self.maps[0](_side_by_side(state))
        hidden_size, cell = state
        return self.maps[0](_side_by_side(hidden_size)), self.maps[1](_side_by_side(cell))


def _side_by_side(state: Tensor) -> Tensor:
    return torch.cat([state[0::2], state[1::2]], dim=2)  # (layers, B, 2D)


def init_chrono(cell: Cell, hours: int) -> None:
    """Set the gates' biases so that the units of each layer remember for 1 to hours - 1 hours, evenly spaced.

    Chrono initialisation: Tallec & Ollivier (2018), arXiv:1804.11188, section 3, there with spans drawn at random. Raises
    ConfigError for the plain RNN, which has no gates.
    """
    if isinstance(cell, nn.RNN):
        raise ConfigError("model.long_memory sets gates, and cell 'rnn' has none: choose gru or lstm, or take it out")
    spans = torch.linspace(1.0, hours - 1.0, cell.hidden_size).log()
    with torch.no_grad():
        for name, bias in cell.named_parameters():
            if name.startswith("bias_"):
                _set_gates(cell, bias, spans if name.startswith("bias_ih") else torch.zeros_like(spans))


def _set_gates(cell: Cell, bias: Tensor, keep: Tensor) -> None:
    """Both biases of a cell are added up: one gets the spans, the other nothing."""
    if isinstance(cell, nn.LSTM):
        enter, forget, _, _ = bias.chunk(4)  # torch's order: input, forget, candidate, output
        forget.copy_(keep)
        enter.copy_(-keep)
    else:
        _, update, _ = bias.chunk(3)  # reset, update, candidate; in torch the update gate says how much is kept
        update.copy_(keep)
