"""The training loop: pinball loss, AdamW, clipped gradients, early stopping on a later block of time."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from daycast.model.config import ModelConfig
from daycast.model.linear_path import linear_forecast
from daycast.model.pinball import pinball_loss
from daycast.model.sampling import draw, draw_outages
from daycast.model.seq2seq import Seq2Seq
from daycast.model.windows import Batch, Windows
from daycast.prepare.splits import Block

CLIP_NORM = 1.0  # Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063


@dataclass(frozen=True)
class Progress:
    """Where training stands after an epoch."""

    cell: str
    epoch: int
    epochs: int
    training_loss: float
    validation_loss: float
    windows_per_s: float
    epoch_seconds: float


def train_seq2seq(
    cell: str,
    steps: Tensor,
    weights: Tensor,
    windows: Windows,
    block: Block,
    eligible: np.ndarray,
    validation: Sequence[Batch],
    config: ModelConfig,
    watch: Callable[[Progress], None],
) -> tuple[Seq2Seq, float]:
    """Train one network and return it at its best epoch, with its validation loss.

    steps (H, V, Q): the spread to start from; weights (P, H·V): the frozen linear path; `eligible` (S, T): the windows of the
    training `block`. The same seed, thread count and data give the same weights bit for bit on a CPU.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    V = steps.shape[1]
    net = Seq2Seq(cell, windows.values.shape[2], V, config.hidden, config.layers, config.dropout)
    net.start_from(steps)
    net.to(windows.device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    best_loss, best_state, best_epoch = validation_loss(net, weights, validation), copy.deepcopy(net.state_dict()), 0
    for epoch in range(1, config.epochs + 1):
        started = time.perf_counter()
        training_loss = _train_epoch(net, optimizer, weights, windows, block, eligible, config, rng)
        seconds = time.perf_counter() - started
        loss = validation_loss(net, weights, validation)
        speed = config.steps_per_epoch * config.batch / seconds
        watch(Progress(cell, epoch, config.epochs, training_loss, loss, speed, seconds))
        if loss < best_loss:
            best_loss, best_state, best_epoch = loss, copy.deepcopy(net.state_dict()), epoch
        elif epoch - best_epoch >= config.patience:
            break
    net.load_state_dict(best_state)
    return net.eval(), best_loss


def _train_epoch(
    net: Seq2Seq,
    optimizer: torch.optim.Optimizer,
    weights: Tensor,
    windows: Windows,
    block: Block,
    eligible: np.ndarray,
    config: ModelConfig,
    rng: np.random.Generator,
) -> float:
    net.train()
    total = 0.0
    for _ in range(config.steps_per_epoch):
        stations, origins = draw(eligible, config.batch, block, rng)
        hide = draw_outages(config.batch, config.hidden_share, rng)
        batch = windows.gather(*(part.to(windows.device) for part in (stations, origins, hide)))
        quantiles = net(batch, linear_forecast(weights, batch, net.targets))
        loss = pinball_loss(quantiles, *batch.truth_of(net.targets))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        optimizer.step()
        total += loss.item()
    return total / config.steps_per_epoch


@torch.inference_mode()
def validation_loss(net: Seq2Seq, weights: Tensor, validation: Sequence[Batch]) -> float:
    """Pinball loss over the validation batches, each weighted by its windows."""
    net.eval()
    losses, sizes = [], []
    for batch in validation:
        quantiles = net(batch, linear_forecast(weights, batch, net.targets))
        losses.append(pinball_loss(quantiles, *batch.truth_of(net.targets)).item())
        sizes.append(len(batch.filled))
    return float(np.average(losses, weights=sizes))
