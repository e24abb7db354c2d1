"""The recurrent cells that can be chosen, each a fused module that reads all hours in one call."""

from torch import Tensor, nn

from daycast.errors import ConfigError

Cell = nn.GRU | nn.LSTM | nn.RNN
State = Tensor | tuple[Tensor, Tensor]  # of an LSTM its hidden and its cell state; each (layers, B, D)
CELLS: dict[str, type[nn.GRU] | type[nn.LSTM] | type[nn.RNN]] = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}
AUTO = ("gru", "lstm")  # the candidates of `cell = "auto"`; the plain RNN is there to be compared with


def make_cell(
    name: str, inputs: int, hidden: int, layers: int = 1, dropout: float = 0.0, *, bidirectional: bool = False
) -> Cell:
    """A cell that reads (B, hours, inputs) and returns (B, hours, D), of both directions (B, hours, 2D), and its last state.

    GRU: Cho et al. (2014), doi:10.3115/v1/D14-1179. LSTM: Hochreiter & Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735, with
    the forget gate of Gers et al. (2000), doi:10.1162/089976600300015015. RNN: Elman (1990), doi:10.1207/s15516709cog1402_1, with
    tanh. dropout: between stacked layers. Raises ConfigError where there is no such cell.
    """
    if name not in CELLS:
        raise ConfigError(f"model.cell is {name!r}, and there is no such cell: choose {', '.join(CELLS)} or auto")
    between = dropout if layers > 1 else 0.0
    return CELLS[name](inputs, hidden, layers, batch_first=True, dropout=between, bidirectional=bidirectional)
