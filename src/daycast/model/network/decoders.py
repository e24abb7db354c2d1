"""The autoregressive decoder: each lead reads how far the hour before lay from the linear path.

In training that hour's truth, or what the network itself forecast for it; in a forecast always the latter.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from daycast.model.config import MEDIAN
from daycast.model.network.cells import Cell, Generator, State

# Attention: each lead looks back over all hours of the history, instead of at the encoder's last state alone.


class Attention(nn.Module):
    """Scaled dot products of what the decoder says with what the encoder said, and the two merged.

    The "general" score and the attentional vector of Luong, Pham & Manning (2015), doi:10.18653/v1/D15-1166, scaled as by Vaswani
    et al. (2017), arXiv:1706.03762.
    """

    def __init__(self, hidden_size: int, width: int) -> None:
        """hidden: of the decoder; width: of the encoder's outputs."""
        super().__init__()
        self.query = nn.Linear(hidden_size, width, bias=False)
        self.merge = nn.Linear(hidden_size + width, hidden_size)

    def forward(self, decoded: Tensor, outputs: Tensor) -> Tensor:
        """From the decoder's outputs (B, hours, D) and the encoder's (B, T, width) to (B, hours, D)."""
        context = nn.functional.scaled_dot_product_attention(self.query(decoded), outputs, outputs)
        return torch.tanh(self.merge(torch.cat([decoded, context], dim=2)))


# The direct decoder: all leads in one pass, none reads another's forecast, so that no error is carried on.


def decode_directly(cell: Cell, known: Tensor, state: State, read_out: Callable[[Tensor], Tensor]) -> Tensor:
    """What `read_out` makes of the cell's outputs, (B, H, V, Q). known (B, H, K): of the horizon; state: the encoder's at t0.

    Taieb, Bontempi, Atiya & Sorjamaa (2012), doi:10.1016/j.eswa.2012.01.039, on direct and recursive strategies.
    """
    return read_out(cell(known, state)[0])


ReadOut = Callable[
    [Tensor], Tensor
]  # from the cell's outputs (B, hours, D) to (B, hours, V, Q), departures from the path


def decode_step_by_step(cell: Cell, known: Tensor, state: State, read_out: ReadOut, targets: int) -> Tensor:
    """One lead after the other, each reading the median of the one before. known (B, H, K); returns (B, H, V, Q)."""
    before = known.new_zeros(len(known), 1, targets)  # at t0 itself there is no forecast to depart from
    raw = []
    for lead in range(known.shape[1]):
        decoded, state = cell(torch.cat([known[:, lead : lead + 1], before], dim=2), state)
        raw.append(read_out(decoded))
        before = raw[-1][..., MEDIAN]
    return torch.cat(raw, dim=1)


def decode_in_two_passes(
    cell: Cell, known: Tensor, state: State, read_out: ReadOut, target: Tensor, share: Tensor, chance: Generator = None
) -> Tensor:
    """Training without a loop over the leads: a pass over the truth, then one over a mixture of it and what the first forecast.

    came (B, H, V): what came less the linear path, NaN where missing, which is never shown; share (): how many of the hours show
    the truth. Returns (B, H, V, Q). Scheduled sampling: Bengio et al. (2015), arXiv:1506.03099; in parallel: Mihaylova & Martins
    (2019), doi:10.18653/v1/P19-2049. No gradient runs through the first pass.
    """
    truth = target.nan_to_num(0.0)
    with torch.no_grad():
        own = _read_before(cell, known, state, read_out, truth)[..., MEDIAN]
    shown = (torch.rand(*target.shape[:2], 1, device=target.device, generator=chance) < share) & ~target.isnan()
    return _read_before(cell, known, state, read_out, torch.where(shown, truth, own))


def _read_before(cell: Cell, known: Tensor, state: State, read_out: ReadOut, values: Tensor) -> Tensor:
    """Every lead reads the value of the one before it, the first one 0. values (B, H, V)"""
    before = torch.nn.functional.pad(values[:, :-1], (0, 0, 1, 0))
    return read_out(cell(torch.cat([known, before], dim=2), state)[0])


def teacher_forcing_ratio(step: Tensor, steps: int, first: float, last: float) -> Tensor:
    """The share of true values at a step of training: from `first` to `last` in a straight line, as in Bengio et al. (2015)."""
    return first + (last - first) * (step / max(steps, 1)).clamp(max=1.0)
