"""Gates that begin open, so that the first hour of a week can be learnt from.

With gates around one half, as they start otherwise, a unit halves what it remembers every hour: after 168 of them nothing is
left, and no gradient comes back to tell it to remember more.
"""

import torch
from torch import Tensor, nn

from daycast.errors import ConfigError
from daycast.model.architectures.cells import Cell


def lengthen_memory(cell: Cell, hours: int) -> None:
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
