"""The recurrent encoder and decoder: reads 168 hours, writes quantiles for the next 24, as a departure from the linear path."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from daycast.model.config import MEDIAN, QUANTILES, ModelConfig
from daycast.model.external_forecasts import ExternalForecast
from daycast.model.network.cells import Bridge, Dropout, Generator, State, init_chrono, make_cell
from daycast.model.network.decoders import (
    Attention,
    decode_directly,
    decode_in_two_passes,
    decode_step_by_step,
    teacher_forcing_ratio,
)
from daycast.model.windows import AROUND_HOURS, Batch
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

# What a station is like, told by its place and its own last week, so that a new station needs no learned identity.


def summary_width(channels: int) -> int:
    """W, how many numbers describe a station."""
    return 2 * channels + 2


def summarise_station(batch: Batch) -> Tensor:
    """Mean and deviation of what was known of each channel in the window, and the elevation. (B, W)

    The statistics are in scaled units, 0 where nothing was known, the elevation in km above the sea and beside it whether it is
    known: a fixed unit, because a network at one height has no spread to divide by.
    """
    mask = batch.mask.to(batch.filled.dtype)
    count = mask.sum(dim=1).clamp(min=1)  # (B, C)
    mean = (batch.filled * mask).sum(dim=1) / count
    deviation = (((batch.filled - mean[:, None]) ** 2 * mask).sum(dim=1) / count).sqrt()
    height = torch.full_like(mean[:, :1], torch.nan) if batch.elevation is None else batch.elevation[:, None]
    return torch.cat([mean, deviation, height.nan_to_num(0.0), (~height.isnan()).to(mean.dtype)], dim=1)


# How large a network is.


def count_parameters(net: nn.Module) -> int:
    """The number of weights that training changes."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


_LONGEST = torch.tensor(HISTORY_HOURS + 1.0)
CALENDAR = (
    3  # of the known-future channels, that the network reads: all but the day of the year, which invites overfitting
)


class Encoded(NamedTuple):
    """What the encoder hands to the decoder."""

    state: State  # at t0, to start from; (layers, B, D)
    outputs: Tensor  # of every hour, to attend to; (B, T, D), of a bidirectional encoder (B, T, 2D)


class Seq2Seq(nn.Module):
    """A fused recurrent encoder over the history and a decoder over the known future, started from its last state.

    With its head at zero, as it starts, it returns the linear path's forecast with the spread it was given.
    """

    def __init__(
        self, cell: str, channels: int, targets: int, config: ModelConfig, external_forecasts: int = 0
    ) -> None:
        """cell: one of CELLS; channels: C; targets: V, the first of the channels; covariates: K. Raises ConfigError."""
        super().__init__()
        self.targets, self.config = targets, config
        D, layers, dropout = config.hidden_size, config.layers, config.dropout
        read, known = 4 * channels + CALENDAR, CALENDAR + targets + ExternalForecast.width(external_forecasts)
        known += summary_width(channels) if config.station_summary else 0
        known += targets if config.decoder == "autoregressive" else 0
        self.encoder = make_cell(cell, read, D, layers, dropout, bidirectional=config.bidirectional)
        self.decoder = make_cell(cell, known, D, layers, dropout)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(D, targets * len(QUANTILES))
        self.quantile_steps = nn.Parameter(
            torch.zeros(HORIZON_HOURS, targets, len(QUANTILES))
        )  # before softplus; the median's is unused
        self.quantile_steps_alone = (
            nn.Parameter(torch.zeros_like(self.quantile_steps)) if external_forecasts else None
        )  # of the hours that nobody else forecast
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self._add_options(cell, D * (2 if config.bidirectional else 1))

    def _add_options(self, cell: str, width: int) -> None:
        """Only what is used, so that every weight gets a gradient. width: of the encoder's outputs."""
        D, config = self.config.hidden_size, self.config
        self.bridge = Bridge(D, parts=2 if cell == "lstm" else 1) if config.bidirectional else None
        self.attention = Attention(D, width) if config.attention else None
        self.norm_encoded = nn.LayerNorm(width) if config.layer_norm and config.attention else nn.Identity()
        self.norm_decoded = (
            nn.LayerNorm(D) if config.layer_norm else nn.Identity()
        )  # Ba et al. (2016), arXiv:1607.06450
        if config.chrono_init:
            init_chrono(self.encoder, HISTORY_HOURS)
        if config.decoder == "autoregressive":
            self.register_buffer("step", torch.zeros(()))  # forward passes in training so far
        self.step: Tensor

    def start_from(self, steps: Tensor, alone: Tensor | None = None) -> None:
        """Begin with these distances between neighbouring quantiles, (H, V, Q), outwards from the median; scaled units.

        alone: those of the hours that nobody else forecast, where the network reads others' forecasts.
        """
        with torch.no_grad():
            self.quantile_steps.copy_(_before_softplus(steps))
            if self.quantile_steps_alone is not None and alone is not None:
                self.quantile_steps_alone.copy_(_before_softplus(alone))

    def forward(self, batch: Batch, linear: Tensor, chance: Generator = None) -> Tensor:
        """Quantiles in scaled units, never crossing. linear (B, H, V): the linear path's forecast. Returns (B, H, V, Q).

        chance: what training draws its random numbers from, by default torch's own generator; between stacked layers always that.
        """
        return self.decode(self.encode(read_history(batch)), batch, linear, chance)

    def encode(self, read: Tensor) -> Encoded:
        """What is made of the history. read (B, T, 4C + CALENDAR), as from `read_history`."""
        outputs, state = self.encoder(read)
        return Encoded(state if self.bridge is None else self.bridge(state), outputs)

    def decode(self, encoded: Encoded, batch: Batch, linear: Tensor, chance: Generator = None) -> Tensor:
        """Quantiles (B, H, V, Q) of the horizon of `batch`, from the history as encoded at its t0.

        The truth in `batch` is read by an autoregressive decoder in training, and never otherwise.
        """
        raw = self._run_decoder(encoded, batch, linear, chance)  # (B, H, V, Q)
        return quantiles_from_steps(linear + raw[..., MEDIAN], nn.functional.softplus(raw + self._steps_of(batch)))

    def _steps_of(self, batch: Batch) -> Tensor:
        if self.quantile_steps_alone is None or batch.external_forecasts is None:
            return self.quantile_steps
        return torch.where(
            batch.external_forecasts.missing[:, :, None, None], self.quantile_steps_alone, self.quantile_steps
        )

    def _run_decoder(self, encoded: Encoded, batch: Batch, linear: Tensor, chance: Generator) -> Tensor:
        known, read_out = self._known_future(batch, linear), self._reader(encoded, chance)
        if self.config.decoder == "direct":
            return decode_directly(self.decoder, known, encoded.state, read_out)
        if not self.training:
            return decode_step_by_step(self.decoder, known, encoded.state, read_out, self.targets)
        target = batch.truth_of(self.targets)[0] - linear
        return decode_in_two_passes(
            self.decoder, known, encoded.state, read_out, target, self._next_teacher_forcing_ratio(), chance
        )

    def _known_future(self, batch: Batch, linear: Tensor) -> Tensor:
        """What every lead reads. (B, H, CALENDAR + V, and what the options and others' forecasts add)"""
        parts = [batch.calendar[:, HISTORY_HOURS:, :CALENDAR], linear - batch.last[:, None, : self.targets]]
        if self.config.station_summary:
            parts.append(summarise_station(batch)[:, None].expand(-1, HORIZON_HOURS, -1))
        if batch.external_forecasts is not None:
            parts.append(batch.external_forecasts.features(linear, batch.last))
        return torch.cat(parts, dim=2)

    def _reader(self, encoded: Encoded, chance: Generator) -> Callable[[Tensor], Tensor]:
        """From the decoder's outputs (B, hours, D) to departures of the median and raw steps, (B, hours, V, Q)."""
        outputs = None if self.attention is None else self.norm_encoded(encoded.outputs)

        def read_out(decoded: Tensor) -> Tensor:
            if self.attention is not None:
                decoded = self.attention(decoded, outputs)
            kept = self.dropout(self.norm_decoded(decoded), chance)
            return self.head(kept).unflatten(2, (self.targets, len(QUANTILES)))

        return read_out

    def _next_teacher_forcing_ratio(self) -> Tensor:
        steps = self.config.most_epochs * self.config.steps_per_epoch
        share = teacher_forcing_ratio(
            self.step, steps, self.config.teacher_forcing_ratio, self.config.final_teacher_forcing_ratio
        )
        self.step += 1
        return share


def read_history(batch: Batch) -> Tensor:
    """What the encoder reads of each hour: values, masks, ages on a log scale, neighbours, calendar. (B, T, 4C + CALENDAR)"""
    history = batch.calendar[:, :HISTORY_HOURS, :CALENDAR]
    age = torch.log1p(batch.staleness) / torch.log(_LONGEST.to(history.device))
    around = nn.functional.pad(batch.around, (0, 0, HISTORY_HOURS - AROUND_HOURS, 0))
    return torch.cat([batch.filled, batch.mask.to(history.dtype), age, around, history], dim=2)


def _before_softplus(steps: Tensor) -> Tensor:
    return torch.log(torch.expm1(steps.clamp(min=1e-3)))


def quantiles_from_steps(median: Tensor, steps: Tensor) -> Tensor:
    """Quantiles (..., Q) from a median (...) and non-negative steps (..., Q) outwards from it; the median's step is unused."""
    above = median[..., None] + steps[..., MEDIAN + 1 :].cumsum(dim=-1)
    below = median[..., None] - steps[..., :MEDIAN].flip(-1).cumsum(dim=-1).flip(-1)
    return torch.cat([below, median[..., None], above], dim=-1)
