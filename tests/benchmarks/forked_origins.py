"""Several hours of issue forecast from one pass of the encoder, in training: tried, measured, and not part of the product.

Wen, Torkkola, Narayanaswamy & Madeka (2017), arXiv:1711.11053. The fused modules do not return the LSTM's inner cell states, so
the encoder reads the history of the first hour of issue, then goes on piece by piece. Each piece is read as its own hour of
issue knows it: nothing that came later is seen.

On one core an LSTM learnt from 2.8, 3.2 and 3.3 times as many hours of issue a second with 4, 8 and 33 a pass. After 15 s its
validation loss was 0.0977, 0.0963 and 0.0966; with one a pass and steps as small it was 0.0950.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from daycast.model.config import ModelConfig
from daycast.model.network.cells import Generator, State
from daycast.model.network.seq2seq import Encoded, Seq2Seq, read_history
from daycast.model.training.sampling import draw, draw_outages
from daycast.model.training.state import TrainingData
from daycast.model.windows import Batch

STRIDE = 6  # hours from one hour of issue to the next


@contextmanager
def forked(count: int) -> Iterator[None]:
    """While it is open, `train_together` learns from `count` hours of issue of each training window, the first at its end."""

    class Forked(Seq2Seq):
        def forward(self, batch: Batch, linear: Tensor, chance: Generator = None) -> Tensor:
            return (
                forecast_forks(self, batch, linear, count) if self.training else super().forward(batch, linear, chance)
            )

    def draw_forks(training_data: TrainingData, config: ModelConfig, rng: np.random.Generator) -> tuple[Batch, Tensor]:
        return draw_forked(training_data, config, rng, count)

    with (
        mock.patch("daycast.model.training.trainer.Seq2Seq", Forked),
        mock.patch("daycast.model.training.trainer._draw_batch", draw_forks),
    ):
        yield


def forecast_forks(net: Seq2Seq, batch: Batch, linear: Tensor, count: int) -> Tensor:
    """Quantiles (count·B, H, V, Q) of the windows of `draw_forked`; one whole pass for each of the first B alone."""
    first, *later = read_history(batch).unflatten(0, (count, -1))  # each (B, T, …)
    encoded = net.encode(first)
    states = [encoded.state]
    for history in later:
        states.append(net.encoder(history[:, -STRIDE:].contiguous(), states[-1])[1])
    return net.decode(Encoded(_together(states), encoded.outputs), batch, linear)


@torch.no_grad()
def draw_forked(
    training_data: TrainingData, config: ModelConfig, rng: np.random.Generator, count: int
) -> tuple[Batch, Tensor]:
    """Windows at random, then those that follow each, and the linear path's forecasts; no truth where there is no lesson."""
    stations, origins = draw(training_data.eligible, config.batch_size, training_data.block, rng)
    stations, origins = stations.repeat(count), (origins + STRIDE * torch.arange(count)[:, None]).flatten()
    hidden = [_move_back(hide, count) for hide in draw_outages(config.batch_size, config.input_dropout, rng)]
    there, origins = origins <= training_data.block.last_origin, origins.clamp(max=training_data.block.last_origin)
    there &= torch.from_numpy(training_data.eligible[stations.numpy(), origins.numpy()])
    batch = training_data.windows.gather(stations, origins, *hidden)
    batch = replace(batch, truth=batch.truth.masked_fill(~there[:, None, None], torch.nan))
    return batch, training_data.linear.forecast(batch, origins)


def _move_back(hide: Tensor, count: int) -> Tensor:
    """An outage (B, T) as the windows of the following hours of issue see it: further back, and over. (count·B, T)"""
    shifts = [min(STRIDE * k, hide.shape[1]) for k in range(count)]
    return torch.cat([nn.functional.pad(hide[:, shift:], (0, shift)) for shift in shifts])


def _together(states: Sequence[State]) -> State:
    """As one batch. Each (layers, B, D), or two of these."""
    if isinstance(states[0], Tensor):
        return torch.cat(list(states), dim=1)
    hidden, cell = (torch.cat(parts, dim=1) for parts in zip(*states, strict=True))
    return hidden, cell
