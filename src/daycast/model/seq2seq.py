"""The recurrent encoder and decoder: reads 168 hours, writes quantiles for the next 24, as a departure from the linear path."""

import torch
from torch import Tensor, nn

from daycast.model.config import MEDIAN, QUANTILES
from daycast.model.windows import AROUND_HOURS, Batch
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

CELLS: dict[str, type[nn.GRU | nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}
_LONGEST = torch.tensor(HISTORY_HOURS + 1.0)
CALENDAR = (
    3  # of the known-future channels, that the network reads: all but the day of the year, which invites overfitting
)
State = Tensor | tuple[Tensor, Tensor]  # of a GRU; hidden and cell of an LSTM; each (layers, B, D)


class Seq2Seq(nn.Module):
    """A fused recurrent encoder over the history and a direct decoder over the known future, started from its last state.

    With its head at zero, as it starts, it returns the linear path's forecast with the spread it was given.
    """

    def __init__(self, cell: str, channels: int, targets: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        kind = CELLS[cell]
        between = dropout if layers > 1 else 0.0
        self.targets = targets  # V: the first V channels
        self.encoder = kind(4 * channels + CALENDAR, hidden, layers, batch_first=True, dropout=between)
        self.decoder = kind(CALENDAR + targets, hidden, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, targets * len(QUANTILES))
        self.spread = nn.Parameter(
            torch.zeros(HORIZON_HOURS, targets, len(QUANTILES))
        )  # before softplus; the median's is unused
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def start_from(self, steps: Tensor) -> None:
        """Begin with these distances between neighbouring quantiles, (H, V, Q), outwards from the median; scaled units."""
        with torch.no_grad():
            self.spread.copy_(torch.log(torch.expm1(steps.clamp(min=1e-3))))

    def forward(self, batch: Batch, linear: Tensor) -> Tensor:
        """Quantiles in scaled units, never crossing. linear (B, H, V): the linear path's forecast. Returns (B, H, V, Q)."""
        _, state = self.encoder(read_history(batch))
        return self.decode(state, batch, linear)

    def decode(self, state: State, batch: Batch, linear: Tensor) -> Tensor:
        """Quantiles (B, H, V, Q) of the horizon of `batch`, from the encoder's state at its t0."""
        future = batch.calendar[:, HISTORY_HOURS:, :CALENDAR]
        departure = linear - batch.last[:, None, : self.targets]
        decoded, _ = self.decoder(torch.cat([future, departure], dim=2), state)  # (B, H, D)
        raw = self.head(self.dropout(decoded)).unflatten(2, (self.targets, len(QUANTILES)))  # (B, H, V, Q)
        return spread_quantiles(linear + raw[..., MEDIAN], nn.functional.softplus(raw + self.spread))


def read_history(batch: Batch) -> Tensor:
    """What the encoder reads of each hour: values, masks, ages on a log scale, neighbours, calendar. (B, T, 4C + CALENDAR)"""
    history = batch.calendar[:, :HISTORY_HOURS, :CALENDAR]
    age = torch.log1p(batch.staleness) / torch.log(_LONGEST.to(history.device))
    around = nn.functional.pad(batch.around, (0, 0, HISTORY_HOURS - AROUND_HOURS, 0))
    return torch.cat([batch.filled, batch.mask.to(history.dtype), age, around, history], dim=2)


def spread_quantiles(median: Tensor, steps: Tensor) -> Tensor:
    """Quantiles (..., Q) from a median (...) and non-negative steps (..., Q) outwards from it; the median's step is unused."""
    above = median[..., None] + steps[..., MEDIAN + 1 :].cumsum(dim=-1)
    below = median[..., None] - steps[..., :MEDIAN].flip(-1).cumsum(dim=-1).flip(-1)
    return torch.cat([below, median[..., None], above], dim=-1)
