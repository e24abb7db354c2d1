"""Attention over hours and over neighbours, and the two decoders.

`direct` reads all leads in one pass, `autoregressive` feeds each lead the one before it.

B windows, T history hours, H leads, V targets, Q quantiles, D hidden units, N features of each lead, or neighbours.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from daycast.model.config import MEDIAN
from daycast.model.network.cells import Cell, Generator, State

_HEADS = 4
ReadOut = Callable[
    [Tensor], Tensor
]  # (B, hours, D) -> (B, hours, V, Q): departure of the median and raw quantile steps


class Attention(nn.Module):
    """Each lead looks back over all hours of the history, and not at the encoder's last state alone.

    The "general" score and the attentional vector of Luong, Pham & Manning (2015), doi:10.18653/v1/D15-1166, scaled as in Vaswani
    et al. (2017), arXiv:1706.03762.
    """

    def __init__(self, hidden_size: int, width: int) -> None:
        """hidden_size: D of the decoder; width: of the encoder's outputs, D or 2D."""
        super().__init__()
        self.query = nn.Linear(hidden_size, width, bias=False)
        self.merge = nn.Linear(hidden_size + width, hidden_size)

    def forward(self, decoded: Tensor, outputs: Tensor) -> Tensor:
        """Merge the decoder's outputs (B, hours, D) with those of the encoder (B, T, width) into (B, hours, D)."""
        context = nn.functional.scaled_dot_product_attention(self.query(decoded), outputs, outputs)  # (B, hours, width)
        return torch.tanh(self.merge(torch.cat([decoded, context], dim=2)))  # (B, hours, D)


class NeighbourAttention(nn.Module):
    """Each lead looks at the neighbours one by one: which of them tells what will come depends on the wind.

    Scaled dot-product attention with several heads: Vaswani et al. (2017), arXiv:1706.03762. It starts at zero: an untrained
    network forecasts as one without neighbours.
    """

    def __init__(self, width: int, hidden_size: int) -> None:
        """width: R, features of a neighbour; hidden_size: D of the decoder, a multiple of the heads or read by a single one."""
        super().__init__()
        self.heads = _HEADS if hidden_size % _HEADS == 0 else 1
        self.embed = nn.Linear(width, hidden_size)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.merge = nn.Linear(hidden_size, hidden_size)
        nn.init.zeros_(self.merge.weight)
        nn.init.zeros_(self.merge.bias)

    def read(self, neighbours: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values and mask of the neighbours (B, N, R) of which something is known (B, N), once for all leads.

        One more, of zeros, is always there: a lead may look at nobody.
        """
        embedded = torch.relu(self.embed(neighbours))  # (B, N, D)
        key, value = nn.functional.pad(self.key_value(embedded), (0, 0, 0, 1)).chunk(2, dim=2)  # (B, N + 1, D)
        return self._split(key), self._split(value), nn.functional.pad(known, (0, 1), value=True)[:, None, None]

    def forward(self, decoded: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Add what the neighbours tell to the decoder's outputs (B, hours, D)."""
        query = self._split(self.query(decoded))  # (B, heads, hours, D / heads)
        context = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return decoded + torch.tanh(self.merge(context.transpose(1, 2).flatten(2)))  # (B, hours, D)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, hours or N + 1, D / heads)


def decode_directly(cell: Cell, known: Tensor, state: State, read_out: ReadOut) -> Tensor:
    """Decode all leads in one pass. No lead reads the forecast of another, so no error accumulates.

    known (B, H, N): features of the leads; state: the encoder's at t0. Returns (B, H, V, Q).
    Direct and recursive strategies: Taieb, Bontempi, Atiya & Sorjamaa (2012), doi:10.1016/j.eswa.2012.01.039.
    """
    return read_out(cell(known, state)[0])  # (B, H, V, Q)


def decode_step_by_step(cell: Cell, known: Tensor, state: State, read_out: ReadOut, targets: int) -> Tensor:
    """Forecast lead by lead: each reads the median departure of the one before. known (B, H, N); returns (B, H, V, Q)."""
    previous = known.new_zeros(len(known), 1, targets)  # (B, 1, V); at t0 there is no forecast yet
    raw = []
    for lead in range(known.shape[1]):
        decoded, state = cell(torch.cat([known[:, lead : lead + 1], previous], dim=2), state)  # (B, 1, D)
        raw.append(read_out(decoded))  # (B, 1, V, Q)
        previous = raw[-1][..., MEDIAN]  # (B, 1, V)
    return torch.cat(raw, dim=1)  # (B, H, V, Q)


def decode_in_two_passes(
    cell: Cell,
    known: Tensor,
    state: State,
    read_out: ReadOut,
    target: Tensor,
    ratio: Tensor,
    generator: Generator = None,
) -> Tensor:
    """Train the autoregressive decoder without a loop over the leads (parallel scheduled sampling). Returns (B, H, V, Q).

    The first pass reads the truth and gets no gradient. The second reads, at each lead, either the truth of the lead before or
    what the first pass forecast for it.

    target (B, H, V): truth less the linear path, NaN where missing, which is never shown; ratio (): probability of the truth.
    Scheduled sampling: Bengio et al. (2015), arXiv:1506.03099; in parallel: Mihaylova & Martins (2019),
    doi:10.18653/v1/P19-2049.
    """
    truth = target.nan_to_num(0.0)
    with torch.no_grad():
        forecast = _read_previous(cell, known, state, read_out, truth)[..., MEDIAN]  # (B, H, V)
    forced = torch.rand(*target.shape[:2], 1, device=target.device, generator=generator) < ratio  # (B, H, 1)
    return _read_previous(cell, known, state, read_out, torch.where(forced & ~target.isnan(), truth, forecast))


def _read_previous(cell: Cell, known: Tensor, state: State, read_out: ReadOut, values: Tensor) -> Tensor:
    """One pass in which each lead reads the value (B, H, V) of the lead before it, the first one 0. Returns (B, H, V, Q)."""
    previous = torch.nn.functional.pad(values[:, :-1], (0, 0, 1, 0))  # (B, H, V)
    return read_out(cell(torch.cat([known, previous], dim=2), state)[0])


def teacher_forcing_ratio(step: Tensor, steps: int, first: float, last: float) -> Tensor:
    """The probability of the truth at a training step: linear from `first` to `last` over `steps` (Bengio et al. 2015)."""
    return first + (last - first) * (step / max(steps, 1)).clamp(max=1.0)
