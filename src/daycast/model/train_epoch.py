"""One epoch of training: pinball loss, AdamW, clipped gradients, and what the averaged weights then validate as."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from daycast.model.config import ModelConfig
from daycast.model.course import Course
from daycast.model.device import choose_precision
from daycast.model.distributed import Ranks
from daycast.model.lesson import Lesson
from daycast.model.pinball import pinball_loss
from daycast.model.sampling import draw, draw_outages, hide_covariates
from daycast.model.side_by_side import side_by_side, threads_for
from daycast.model.windows import Batch

CLIP_NORM = 1.0  # Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063


class Epoch(NamedTuple):
    """How an epoch went."""

    training_loss: float
    validation_loss: float
    windows_per_s: float  # of training alone, over all ranks


def train_epoch(course: Course, lesson: Lesson, config: ModelConfig, ranks: Ranks) -> Epoch:
    """Bring a course one epoch further; shorter where it is halted."""
    started = time.perf_counter()
    training_loss = take_steps(course, lesson, config, ranks, config.steps_per_epoch)
    speed = ranks.size * config.steps_per_epoch * config.batch / (time.perf_counter() - started)
    loss = ranks.of_first(validation_loss(course.average.module, lesson.validation))
    course.epoch += 1
    course.note(loss, course.average.module.state_dict())
    course.seconds += time.perf_counter() - started
    return Epoch(training_loss, loss, speed)


def take_steps(course: Course, lesson: Lesson, config: ModelConfig, ranks: Ranks, steps: int) -> float:
    """So many optimizer steps, or until the course is halted; returns the mean loss."""
    net, device = course.net.train(), lesson.windows.device
    precision, chance = choose_precision(config.precision, device), torch.Generator(device)
    total = torch.zeros((), device=device)
    for _ in range(steps):
        if course.halted:
            break
        batch, linear = _draw_batch(lesson, config, course.rng)
        chance.manual_seed(int(course.rng.integers(1 << 63)))
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = pinball_loss(net(batch, linear, chance), *batch.truth_of(net.targets))
        course.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        ranks.average_gradients(net)
        nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        course.optimizer.step()
        course.schedule.step()
        course.average.update_parameters(net)
        total += loss.detach()
    return total.item() / steps


@torch.no_grad()
def _draw_batch(lesson: Lesson, config: ModelConfig, rng: np.random.Generator) -> tuple[Batch, Tensor]:
    stations, origins = draw(lesson.eligible, config.batch, lesson.block, rng)
    hidden = draw_outages(config.batch, config.hidden_share, rng)
    stations, origins, hide, hide_around = (part.to(lesson.windows.device) for part in (stations, origins, *hidden))
    batch = lesson.windows.gather(stations, origins, hide, hide_around)
    batch = hide_covariates(batch, config.hidden_share, rng)
    return batch, lesson.linear.forecast(batch, origins)


def validation_loss(net: nn.Module, validation: Sequence[tuple[Batch, Tensor]]) -> float:
    """Pinball loss over the validation batches, each weighted by its windows."""
    net.eval()

    @torch.inference_mode()
    def loss_of(part: tuple[Batch, Tensor]) -> float:
        batch, linear = part
        return pinball_loss(net(batch, linear), *batch.truth_of(linear.shape[2])).item()

    losses = side_by_side(loss_of, validation, threads_for(validation[0][1].device))
    return float(np.average(losses, weights=[len(linear) for _, linear in validation]))
