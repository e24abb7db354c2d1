"""The training loop: pinball loss, AdamW, clipped gradients, early stopping on a later block of time."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from daycast.model.config import ModelConfig
from daycast.model.cross_fit import CrossFit
from daycast.model.pinball import pinball_loss
from daycast.model.sampling import draw, draw_outages, hide_covariates
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
    member: int = 1  # of the ensemble, counted from 1
    members: int = 1


@dataclass(frozen=True)
class Lesson:
    """What the members of an ensemble learn from, and what tells them to stop."""

    windows: Windows
    block: Block
    eligible: np.ndarray  # (S, T) bool: the training windows, all in the block
    linear: CrossFit  # the linear path, which stays as it is
    spread: Tensor  # (H, V, Q): the distances between quantiles to start from
    validation: Sequence[tuple[Batch, Tensor]]  # later windows, each with the linear path's forecast (B, H, V)
    spread_alone: Tensor | None = None  # (H, V, Q): the same where nobody else forecast; None: nobody does


def train_seq2seq(
    cell: str, seed: int, lesson: Lesson, config: ModelConfig, watch: Callable[[Progress], None]
) -> tuple[Seq2Seq, float]:
    """Train one network and return it at its best epoch, with its validation loss.

    What is validated and returned is the running average of the weights (Polyak & Juditsky 1992, doi:10.1137/0330046). The same
    seed, thread count and data give the same weights bit for bit on a CPU.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    channels, V = lesson.windows.values.shape[2], lesson.spread.shape[1]
    net = Seq2Seq(cell, channels, V, config, lesson.windows.covariates)
    net.start_from(lesson.spread, lesson.spread_alone)
    net.to(lesson.windows.device)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(config.weight_average))
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, _rise_and_fall(max(config.epochs * config.steps_per_epoch, 1))
    )
    best_loss, best_state, best_epoch = validation_loss(net, lesson.validation), copy.deepcopy(net.state_dict()), 0
    for epoch in range(1, config.epochs + 1):
        started = time.perf_counter()
        training_loss = _train_epoch(net, average, optimizer, schedule, lesson, config, rng)
        seconds = time.perf_counter() - started
        loss = validation_loss(average.module, lesson.validation)
        speed = config.steps_per_epoch * config.batch / seconds
        watch(Progress(cell, epoch, config.epochs, training_loss, loss, speed, seconds))
        if loss < best_loss:
            best_loss, best_state, best_epoch = loss, copy.deepcopy(average.module.state_dict()), epoch
        elif epoch - best_epoch >= config.patience:
            break
    net.load_state_dict(best_state)
    return net.eval(), best_loss


def _rise_and_fall(steps: int) -> Callable[[int], float]:
    """The learning rate's share of its height: up in a twelfth of the steps, then down half a cosine."""
    return lambda step: min((step + 1) * 12 / steps, 1.0) * max((1 + math.cos(math.pi * step / steps)) / 2, 0.01)


def _train_epoch(
    net: Seq2Seq,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    lesson: Lesson,
    config: ModelConfig,
    rng: np.random.Generator,
) -> float:
    net.train()
    total = torch.zeros((), device=lesson.windows.device)
    for _ in range(config.steps_per_epoch):
        batch, linear = _draw_batch(lesson, config, rng)
        loss = pinball_loss(net(batch, linear), *batch.truth_of(net.targets))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        optimizer.step()
        schedule.step()
        average.update_parameters(net)
        total += loss.detach()
    return total.item() / config.steps_per_epoch


@torch.no_grad()
def _draw_batch(lesson: Lesson, config: ModelConfig, rng: np.random.Generator) -> tuple[Batch, Tensor]:
    stations, origins = draw(lesson.eligible, config.batch, lesson.block, rng)
    hidden = draw_outages(config.batch, config.hidden_share, rng)
    stations, origins, hide, hide_around = (part.to(lesson.windows.device) for part in (stations, origins, *hidden))
    batch = lesson.windows.gather(stations, origins, hide, hide_around)
    batch = hide_covariates(batch, config.hidden_share, rng)
    return batch, lesson.linear.forecast(batch, origins)


@torch.inference_mode()
def validation_loss(net: torch.nn.Module, validation: Sequence[tuple[Batch, Tensor]]) -> float:
    """Pinball loss over the validation batches, each weighted by its windows."""
    net.eval()
    losses, sizes = [], []
    for batch, linear in validation:
        losses.append(pinball_loss(net(batch, linear), *batch.truth_of(linear.shape[2])).item())
        sizes.append(len(batch.filled))
    return float(np.average(losses, weights=sizes))
