"""The building blocks of the network: recurrent cells, dropout, the bridge of a bidirectional encoder, chrono initialisation.

Read this file before decoders.py and seq2seq.py. B windows, D hidden units.
"""

import torch
from torch import Tensor, nn

from daycast.errors import ConfigError

Cell = nn.GRU | nn.LSTM | nn.RNN
State = Tensor | tuple[Tensor, Tensor]  # (layers, B, D); an LSTM has two: its hidden and its cell state
Generator = torch.Generator | None  # of random numbers; None: torch's global one
CELLS: dict[str, type[nn.GRU] | type[nn.LSTM] | type[nn.RNN]] = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}
AUTO = ("gru", "lstm")  # the candidates of `cell = "auto"`; the plain RNN is only for comparison


def make_cell(
    name: str, inputs: int, hidden_size: int, layers: int = 1, dropout: float = 0.0, *, bidirectional: bool = False
) -> Cell:
    """Make a fused recurrent module: it reads (B, hours, inputs) and returns its outputs (B, hours, D) and its last State.

    A bidirectional cell returns (B, hours, 2D). `dropout` acts between stacked layers. Raises ConfigError for an unknown name.

    GRU: Cho et al. (2014), doi:10.3115/v1/D14-1179. LSTM: Hochreiter & Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735, with
    the forget gate of Gers et al. (2000), doi:10.1162/089976600300015015. RNN, with tanh: Elman (1990),
    doi:10.1207/s15516709cog1402_1.
    """
    if name not in CELLS:
        raise ConfigError(f"model.cell is {name!r}, and there is no such cell: choose {', '.join(CELLS)} or auto")
    between = dropout if layers > 1 else 0.0
    return CELLS[name](inputs, hidden_size, layers, batch_first=True, dropout=between, bidirectional=bidirectional)


class Dropout(nn.Module):
    """Dropout that draws from a given generator, so that several threads can train at once and repeat their results.

    Srivastava et al. (2014), JMLR 15(56), 1929.
    """

    def __init__(self, p: float) -> None:
        """p: probability of a value to be set to zero."""
        super().__init__()
        self.p = p

    def forward(self, x: Tensor, generator: Generator = None) -> Tensor:
        """In training, zero values of x with probability p and scale the others by 1 / (1 - p); otherwise return x."""
        if not self.training or self.p == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.p, generator=generator)
        return x * kept / (1 - self.p)


class Bridge(nn.Module):
    """A linear map from the last state of a bidirectional encoder to the first state of the decoder.

    Two directions: Schuster & Paliwal (1997), doi:10.1109/78.650093. The hidden and the cell state of an LSTM have a map each.
    """

    def __init__(self, hidden_size: int, parts: int) -> None:
        """hidden_size: D of each direction and of the decoder; parts: tensors in a State, 2 for an LSTM, else 1."""
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(2 * hidden_size, hidden_size) for _ in range(parts))

    def forward(self, state: State) -> State:
        """Map (2 · layers, B, D), where torch alternates the directions of each layer, to (layers, B, D)."""
        if isinstance(state, Tensor):
            return self.maps[0](_concat_directions(state))
        hidden, cell = state
        return self.maps[0](_concat_directions(hidden)), self.maps[1](_concat_directions(cell))


def _concat_directions(state: Tensor) -> Tensor:
    return torch.cat([state[0::2], state[1::2]], dim=2)  # (layers, B, 2D)


def init_chrono(cell: Cell, hours: int) -> None:
    """Chrono initialisation: set gate biases so that units remember for 1 to hours - 1 hours, evenly spaced within each layer.

    With the usual biases the gates start around one half: a unit halves its memory every hour, and after 168 hours neither
    memory nor gradient is left. Tallec & Ollivier (2018), arXiv:1804.11188, section 3, which draws the time spans at random.
    Raises ConfigError for the plain RNN, which has no gates.
    """
    if isinstance(cell, nn.RNN):
        raise ConfigError("model.chrono_init sets gates, and cell 'rnn' has none: choose gru or lstm, or take it out")
    log_spans = torch.linspace(1.0, hours - 1.0, cell.hidden_size).log()  # (D,)
    with torch.no_grad():
        for name, bias in cell.named_parameters():
            if name.startswith("bias_"):  # torch adds two biases: one gets the spans, the other zeros
                _set_gate_biases(cell, bias, log_spans if name.startswith("bias_ih") else torch.zeros_like(log_spans))


def _set_gate_biases(cell: Cell, bias: Tensor, value: Tensor) -> None:
    if isinstance(cell, nn.LSTM):
        enter, forget, _, _ = bias.chunk(4)  # torch's order: input, forget, candidate, output
        forget.copy_(value)
        enter.copy_(-value)
    else:
        _, update, _ = bias.chunk(3)  # reset, update, candidate; torch's update gate is the part that is kept
        update.copy_(value)
