"""The training loop: pinball loss, AdamW, clipped gradients, early stopping on a later block of time."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from daycast.model.config import ModelConfig
from daycast.model.course import Course, begin
from daycast.model.cross_fit import CrossFit
from daycast.model.device import choose_precision
from daycast.model.distributed import ALONE, Ranks
from daycast.model.pinball import pinball_loss
from daycast.model.resume import load_state, save_state
from daycast.model.sampling import draw, draw_outages, hide_covariates
from daycast.model.seq2seq import Seq2Seq
from daycast.model.warm_start import Weights, begin_with
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
    beginnings: Mapping[str, Sequence[Weights]] = field(
        default_factory=dict
    )  # by cell: weights for networks to begin with


class Trained(NamedTuple):
    """A network at its best epoch."""

    net: Seq2Seq
    loss: float  # of validation
    seconds: float  # that training took, interruptions left out


def train_seq2seq(
    cell: str,
    seed: int,
    lesson: Lesson,
    config: ModelConfig,
    watch: Callable[[Progress], None],
    state: Path | None = None,
    beginning: Weights | None = None,
    ranks: Ranks = ALONE,
) -> Trained:
    """Train one network and return it at its best epoch.

    What is validated and returned is the running average of the weights (Polyak & Juditsky 1992, doi:10.1137/0330046). The same
    seed, thread count and data give the same weights bit for bit on a CPU. state: a file that is written after each epoch, and
    that a training which was interrupted goes on from. beginning: the weights to begin with, instead of random ones.
    ranks: the processes that train together, each with batches of its own.
    """
    made_for = json.dumps([cell, seed, asdict(config), ranks.size, torch.__version__])
    course = _begin(cell, seed, lesson, config, beginning, ranks)
    if state:
        load_state(course, state, made_for)
        if len(set(ranks.all_of(course.epoch))) > 1:  # they were killed while they wrote
            course = _begin(cell, seed, lesson, config, beginning, ranks)
    if course.epoch == 0:
        course.note(ranks.of_first(validation_loss(course.net, lesson.validation)), course.net.state_dict())
    while course.goes_on(config):
        progress = _train_epoch(cell, course, lesson, config, ranks)
        if state:
            save_state(course, state, made_for)
        watch(progress)
    course.net.load_state_dict(course.best)
    return Trained(course.net.eval(), course.best_loss, course.seconds)


def _begin(
    cell: str, seed: int, lesson: Lesson, config: ModelConfig, beginning: Weights | None, ranks: Ranks
) -> Course:
    """All processes begin with the same weights, and go on with random numbers of their own."""
    torch.manual_seed(seed)
    channels, V = lesson.windows.values.shape[2], lesson.spread.shape[1]
    net = Seq2Seq(cell, channels, V, config, lesson.windows.covariates)
    net.start_from(lesson.spread, lesson.spread_alone)
    if beginning:
        begin_with(net, beginning)
    if ranks.rank:
        torch.manual_seed(seed + (ranks.rank << 32))
    return begin(net.to(lesson.windows.device), np.random.default_rng([seed, ranks.rank]), config)


def _train_epoch(cell: str, course: Course, lesson: Lesson, config: ModelConfig, ranks: Ranks) -> Progress:
    started = time.perf_counter()
    training_loss = _take_steps(course, lesson, config, ranks)
    speed = ranks.size * config.steps_per_epoch * config.batch / (time.perf_counter() - started)
    loss = ranks.of_first(validation_loss(course.average.module, lesson.validation))
    course.epoch += 1
    course.note(loss, course.average.module.state_dict())
    seconds = time.perf_counter() - started
    course.seconds += seconds
    return Progress(cell, course.epoch, config.epochs, training_loss, loss, speed, seconds)


def _take_steps(course: Course, lesson: Lesson, config: ModelConfig, ranks: Ranks) -> float:
    """One epoch of them; returns the mean loss."""
    net, device = course.net.train(), lesson.windows.device
    precision = choose_precision(config.precision, device)
    total = torch.zeros((), device=device)
    for _ in range(config.steps_per_epoch):
        batch, linear = _draw_batch(lesson, config, course.rng)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = pinball_loss(net(batch, linear), *batch.truth_of(net.targets))
        course.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        ranks.average_gradients(net)
        torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        course.optimizer.step()
        course.schedule.step()
        course.average.update_parameters(net)
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
