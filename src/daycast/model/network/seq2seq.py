"""The network: a recurrent encoder reads 168 hours, a decoder writes quantiles of the next 24.

It learns a departure from the linear path (model/linear/), whose forecast it is given. Read `Seq2Seq.forward`, `encode` and
`decode` first, then the functions below the class. The cells are in cells.py, the decoders in decoders.py.

B windows, T 168 history hours, H 24 leads, C input channels, V targets (the first V channels), K external channels, Q quantiles,
D hidden units, N features of each lead.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from daycast.model.config import MEDIAN, QUANTILES, ModelConfig
from daycast.model.external_forecasts import ExternalForecast
from daycast.model.network.cells import Bridge, Dropout, Generator, State, init_chrono, make_cell
from daycast.model.network.decoders import (
    Attention,
    NeighbourAttention,
    ReadOut,
    decode_directly,
    decode_in_two_passes,
    decode_step_by_step,
    teacher_forcing_ratio,
)
from daycast.model.windows import AROUND_HOURS, Batch, neighbour_width
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

CALENDAR = 3  # known-future channels that are read: all except the day of the year, which invites overfitting
_OLDEST = torch.tensor(HISTORY_HOURS + 1.0)


class Encoded(NamedTuple):
    """What the encoder hands to the decoder."""

    state: State  # (layers, B, D) at t0, where the decoder starts
    outputs: Tensor  # (B, T, D), or (B, T, 2D) of a bidirectional encoder, for attention


class Seq2Seq(nn.Module):
    """A fused recurrent encoder over the history, and a decoder over the known future that starts from its last state.

    The head starts at zero: an untrained network returns the linear path's forecast with the quantile steps of `start_from`.
    """

    def __init__(
        self, cell: str, channels: int, targets: int, config: ModelConfig, external_forecasts: int = 0
    ) -> None:
        """cell: one of CELLS; channels: C; targets: V; external_forecasts: K. Raises ConfigError if the cell cannot be built."""
        super().__init__()
        self.targets, self.config = targets, config
        D, layers, dropout = config.hidden_size, config.layers, config.dropout
        history, known = 4 * channels + CALENDAR, CALENDAR + targets + ExternalForecast.width(external_forecasts)
        known += summary_width(channels) if config.station_summary else 0
        known += targets if config.decoder == "autoregressive" else 0
        self.encoder = make_cell(cell, history, D, layers, dropout, bidirectional=config.bidirectional)
        self.decoder = make_cell(cell, known, D, layers, dropout)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(D, targets * len(QUANTILES))
        # distances between neighbouring quantiles before softplus, (H, V, Q); the median's is unused. `…_alone` are used at
        # leads for which there is no external forecast
        self.quantile_steps = nn.Parameter(torch.zeros(HORIZON_HOURS, targets, len(QUANTILES)))
        self.quantile_steps_alone = nn.Parameter(torch.zeros_like(self.quantile_steps)) if external_forecasts else None
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.neighbours = NeighbourAttention(neighbour_width(channels), D) if config.neighbour_attention else None
        self._add_options(cell, D * (2 if config.bidirectional else 1))

    def _add_options(self, cell: str, width: int) -> None:
        """Add only what the configuration uses, so that every weight gets a gradient. width: of the encoder's outputs."""
        D, config = self.config.hidden_size, self.config
        self.bridge = Bridge(D, parts=2 if cell == "lstm" else 1) if config.bidirectional else None
        self.attention = Attention(D, width) if config.attention else None
        # layer normalisation: Ba et al. (2016), arXiv:1607.06450
        self.norm_encoded = nn.LayerNorm(width) if config.layer_norm and config.attention else nn.Identity()
        self.norm_decoded = nn.LayerNorm(D) if config.layer_norm else nn.Identity()
        if config.chrono_init:
            init_chrono(self.encoder, HISTORY_HOURS)
        if config.decoder == "autoregressive":
            self.register_buffer("step", torch.zeros(()))  # forward passes in training so far
        self.step: Tensor

    def start_from(self, steps: Tensor, steps_alone: Tensor | None = None) -> None:
        """Set the distances between neighbouring quantiles, (H, V, Q) outwards from the median, in scaled units.

        steps_alone: those of leads without an external forecast, for a network that reads external forecasts.
        """
        with torch.no_grad():
            self.quantile_steps.copy_(_inverse_softplus(steps))
            if self.quantile_steps_alone is not None and steps_alone is not None:
                self.quantile_steps_alone.copy_(_inverse_softplus(steps_alone))

    def forward(self, batch: Batch, linear: Tensor, generator: Generator = None) -> Tensor:
        """Forecast quantiles (B, H, V, Q) in scaled units; they never cross. linear (B, H, V): the linear path's forecast.

        generator: of the random numbers of dropout and teacher forcing in training. Dropout between stacked layers always
        draws from torch's global one.
        """
        return self.decode(self.encode(read_history(batch)), batch, linear, generator)  # (B, H, V, Q)

    def encode(self, history: Tensor) -> Encoded:
        """Encode the history (B, T, 4C + CALENDAR) that `read_history` makes."""
        outputs, state = self.encoder(history)  # (B, T, D), (layers, B, D)
        return Encoded(state if self.bridge is None else self.bridge(state), outputs)

    def decode(self, encoded: Encoded, batch: Batch, linear: Tensor, generator: Generator = None) -> Tensor:
        """Forecast quantiles (B, H, V, Q) of the horizon of `batch` from its encoded history.

        Only an autoregressive decoder in training reads the truth in `batch`.
        """
        raw = self._run_decoder(encoded, batch, linear, generator)  # (B, H, V, Q)
        median = linear + raw[..., MEDIAN]  # (B, H, V)
        return quantiles_from_steps(median, nn.functional.softplus(raw + self._steps_of(batch)))  # (B, H, V, Q)

    def _steps_of(self, batch: Batch) -> Tensor:
        """Raw quantile steps of each window, or of all of them. (B, H, V, Q) or (H, V, Q)"""
        if self.quantile_steps_alone is None or batch.external_forecasts is None:
            return self.quantile_steps
        missing = batch.external_forecasts.missing[:, :, None, None]  # (B, H, 1, 1)
        return torch.where(missing, self.quantile_steps_alone, self.quantile_steps)

    def _run_decoder(self, encoded: Encoded, batch: Batch, linear: Tensor, generator: Generator) -> Tensor:
        """Departures of the median and raw quantile steps, (B, H, V, Q)."""
        known = self._known_future(batch, linear)  # (B, H, N)
        read_out = self._make_read_out(encoded, batch, generator)
        if self.config.decoder == "direct":
            return decode_directly(self.decoder, known, encoded.state, read_out)
        if not self.training:
            return decode_step_by_step(self.decoder, known, encoded.state, read_out, self.targets)
        target = batch.truth_of(self.targets)[0] - linear  # (B, H, V)
        ratio = self._next_teacher_forcing_ratio()
        return decode_in_two_passes(self.decoder, known, encoded.state, read_out, target, ratio, generator)

    def _known_future(self, batch: Batch, linear: Tensor) -> Tensor:
        """What each lead reads: calendar, linear forecast less the last value, and what the options add. (B, H, N)"""
        parts = [batch.calendar[:, HISTORY_HOURS:, :CALENDAR], linear - batch.last[:, None, : self.targets]]
        if self.config.station_summary:
            parts.append(summarise_station(batch)[:, None].expand(-1, HORIZON_HOURS, -1))  # (B, H, 2C + 2)
        if batch.external_forecasts is not None:
            parts.append(batch.external_forecasts.features(linear, batch.last))  # (B, H, 2K + 1)
        return torch.cat(parts, dim=2)

    def _make_read_out(self, encoded: Encoded, batch: Batch, generator: Generator) -> ReadOut:
        outputs = None if self.attention is None else self.norm_encoded(encoded.outputs)  # (B, T, width)
        near = None
        if self.neighbours is not None and batch.each_neighbour is not None and batch.neighbour_known is not None:
            near = self.neighbours.read(batch.each_neighbour, batch.neighbour_known)

        def read_out(decoded: Tensor) -> Tensor:  # (B, hours, D)
            if self.attention is not None:
                decoded = self.attention(decoded, outputs)  # (B, hours, D)
            if self.neighbours is not None and near is not None:
                decoded = self.neighbours(decoded, *near)  # (B, hours, D)
            kept = self.dropout(self.norm_decoded(decoded), generator)  # (B, hours, D)
            return self.head(kept).unflatten(2, (self.targets, len(QUANTILES)))  # (B, hours, V, Q)

        return read_out

    def _next_teacher_forcing_ratio(self) -> Tensor:
        steps = self.config.most_epochs * self.config.steps_per_epoch
        first, last = self.config.teacher_forcing_ratio, self.config.final_teacher_forcing_ratio
        ratio = teacher_forcing_ratio(self.step, steps, first, last)
        self.step += 1
        return ratio


def read_history(batch: Batch) -> Tensor:
    """What the encoder reads at each hour. (B, T, 4C + CALENDAR)

    Values, masks, hours since last seen on a log scale, and neighbours (0 before the newest AROUND_HOURS), C each; calendar.
    """
    calendar = batch.calendar[:, :HISTORY_HOURS, :CALENDAR]  # (B, T, CALENDAR)
    age = torch.log1p(batch.staleness) / torch.log(_OLDEST.to(calendar.device))  # (B, T, C)
    around = nn.functional.pad(batch.around, (0, 0, HISTORY_HOURS - AROUND_HOURS, 0))  # (B, T, C)
    return torch.cat([batch.filled, batch.mask.to(calendar.dtype), age, around, calendar], dim=2)


def quantiles_from_steps(median: Tensor, steps: Tensor) -> Tensor:
    """Quantiles (..., Q) from a median (...) and non-negative steps (..., Q) outwards from it; the median's step is unused."""
    above = median[..., None] + steps[..., MEDIAN + 1 :].cumsum(dim=-1)
    below = median[..., None] - steps[..., :MEDIAN].flip(-1).cumsum(dim=-1).flip(-1)
    return torch.cat([below, median[..., None], above], dim=-1)


def _inverse_softplus(steps: Tensor) -> Tensor:
    return torch.log(torch.expm1(steps.clamp(min=1e-3)))


def summary_width(channels: int) -> int:
    """How many numbers `summarise_station` returns for C channels."""
    return 2 * channels + 2


def summarise_station(batch: Batch) -> Tensor:
    """Describe each station by its own last week and its elevation, so that a new one needs no learned identity. (B, 2C + 2)

    Mean and standard deviation of the known values of each channel, in scaled units, 0 where none is known; elevation in km
    above sea level, 0 where unknown; whether it is known. The elevation is not standardised, because all stations of a network
    may have the same.
    """
    mask = batch.mask.to(batch.filled.dtype)  # (B, T, C)
    count = mask.sum(dim=1).clamp(min=1)  # (B, C)
    mean = (batch.filled * mask).sum(dim=1) / count  # (B, C)
    deviation = (((batch.filled - mean[:, None]) ** 2 * mask).sum(dim=1) / count).sqrt()  # (B, C)
    height = torch.full_like(mean[:, :1], torch.nan) if batch.elevation is None else batch.elevation[:, None]  # (B, 1)
    return torch.cat([mean, deviation, height.nan_to_num(0.0), (~height.isnan()).to(mean.dtype)], dim=1)


def count_parameters(net: nn.Module) -> int:
    """The number of trainable weights."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
