"""The training of networks, several at a time where a CPU has the cores, with early stopping on a later block of time."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from daycast.model.config import QUANTILES, ModelConfig
from daycast.model.device import choose_precision, trim_memory
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.training.parallel import ALONE, Ranks, run_parallel, threads_for
from daycast.model.training.sampling import draw, draw_outages, drop_external
from daycast.model.training.state import TrainingData, TrainState, Weights, begin, begin_with, load_state, save_state
from daycast.model.windows import Batch

# The pinball (quantile) loss.


def pinball_loss(quantiles: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean pinball loss over what is there; 0 where nothing is. quantiles (B, H, V, Q), truth (B, H, V) with NaN where missing.

    weight (B, H, V), above 0: how much each truth counts in the mean; None counts all alike.
    Koenker & Bassett (1978), Econometrica 46(1), 33, doi:10.2307/1913643.
    """
    levels = torch.tensor(QUANTILES, device=quantiles.device, dtype=quantiles.dtype)
    valid = ~truth.isnan()
    error = truth.nan_to_num(0.0)[..., None] - quantiles  # (B, H, V, Q)
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)
    if weight is None:
        return (loss * valid).sum() / valid.sum().clamp(min=1)
    counted = weight * valid
    return (loss * counted).sum() / counted.sum().clamp(min=torch.finfo(counted.dtype).tiny)


# One epoch of training: pinball loss, AdamW, clipped gradients, and what the averaged weights then validate as.


CLIP_NORM = 1.0  # Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063


class Epoch(NamedTuple):
    """How an epoch went."""

    training_loss: float
    validation_loss: float
    windows_per_s: float  # of training alone, over all ranks


def train_epoch(train_state: TrainState, training_data: TrainingData, config: ModelConfig, ranks: Ranks) -> Epoch:
    """Bring a course one epoch further; shorter where it is halted."""
    started = time.perf_counter()
    training_loss = take_steps(train_state, training_data, config, ranks, config.steps_per_epoch)
    speed = ranks.size * config.steps_per_epoch * config.batch_size / (time.perf_counter() - started)
    loss = ranks.of_first(validation_loss(train_state.average.module, training_data.validation))
    train_state.epoch += 1
    train_state.note(loss, train_state.average.module.state_dict())
    train_state.seconds += time.perf_counter() - started
    return Epoch(training_loss, loss, speed)


def take_steps(
    train_state: TrainState, training_data: TrainingData, config: ModelConfig, ranks: Ranks, steps: int
) -> float:
    """So many optimizer steps, or until the course is halted; returns the mean loss."""
    net, device = train_state.net.train(), training_data.windows.device
    precision, chance = choose_precision(config.precision, device), torch.Generator(device)
    total = torch.zeros((), device=device)
    for _ in range(steps):
        if train_state.halted:
            break
        batch, linear = _draw_batch(training_data, config, train_state.rng)
        chance.manual_seed(int(train_state.rng.integers(1 << 63)))
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = pinball_loss(net(batch, linear, chance), *batch.truth_of(net.targets))
        train_state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        ranks.average_gradients(net)
        nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        train_state.optimizer.step()
        train_state.schedule.step()
        train_state.average.update_parameters(net)
        total += loss.detach()
    return total.item() / steps


@torch.no_grad()
def _draw_batch(training_data: TrainingData, config: ModelConfig, rng: np.random.Generator) -> tuple[Batch, Tensor]:
    stations, origins = draw(training_data.eligible, config.batch_size, training_data.block, rng)
    hidden = draw_outages(config.batch_size, config.input_dropout, rng)
    stations, origins, hide, hide_around = (
        part.to(training_data.windows.device) for part in (stations, origins, *hidden)
    )
    batch = training_data.windows.gather(stations, origins, hide, hide_around)
    batch = drop_external(batch, config.input_dropout, rng)
    return batch, training_data.linear.forecast(batch, origins)


def validation_loss(net: nn.Module, validation: Sequence[tuple[Batch, Tensor]]) -> float:
    """Pinball loss over the validation batches, each weighted by its windows."""
    net.eval()

    @torch.inference_mode()
    def loss_of(part: tuple[Batch, Tensor]) -> float:
        batch, linear = part
        return pinball_loss(net(batch, linear), *batch.truth_of(linear.shape[2])).item()

    losses = run_parallel(loss_of, validation, threads_for(validation[0][1].device))
    return float(np.average(losses, weights=[len(linear) for _, linear in validation]))


@dataclass(frozen=True)
class Progress:
    """Where training stands after an epoch of one member."""

    cell: str
    epoch: int
    epochs: int
    training_loss: float
    validation_loss: float
    windows_per_s: float  # of all that train at the same time
    epoch_seconds: float  # divided among those that train at the same time
    epochs_done: int  # of all members; those that one stopped short of are done too
    member: int = 1  # of the ensemble, counted from 1
    members: int = 1


class Member(NamedTuple):
    """A network that is to be trained."""

    cell: str
    seed: int
    number: int = 1  # in the ensemble
    state: Path | None = None  # a file written after each epoch, that a training which was interrupted goes on from
    beginning: Weights | None = None  # to begin with, instead of random ones


class Trained(NamedTuple):
    """A network at its best epoch."""

    net: Seq2Seq
    loss: float  # of validation
    seconds: float  # that training took, interruptions left out


def train_together(
    members: Sequence[Member],
    training_data: TrainingData,
    config: ModelConfig,
    watch: Callable[[Progress], None],
    ranks: Ranks = ALONE,
) -> list[Trained]:
    """Train networks at the same time, each by a thread of its own, and return them at their best epochs.

    What is validated and returned is the running average of the weights (Polyak & Juditsky 1992, doi:10.1137/0330046). The same
    seed, thread count and data give the same weights bit for bit on a CPU. `watch` is called by the calling thread, after each
    epoch of each member. ranks: the processes that train together, each with batches of its own; one member at a time then.
    """
    train_states = [_begin(member, training_data, config, ranks) for member in members]
    try:
        while any(train_state.goes_on(config) for train_state in train_states):
            _train_epochs(members, train_states, training_data, config, watch, ranks)
    finally:
        for train_state in train_states:
            train_state.halted = True  # the thread of one that was interrupted ends with its step
    return [_finish(train_state) for train_state in train_states]


def _train_epochs(
    members: Sequence[Member],
    train_states: Sequence[TrainState],
    training_data: TrainingData,
    config: ModelConfig,
    watch: Callable[[Progress], None],
    ranks: Ranks,
) -> None:
    """One epoch of each that has not stopped."""
    started = time.perf_counter()
    going = [k for k, train_state in enumerate(train_states) if train_state.goes_on(config)]
    epochs = run_parallel(lambda k: train_epoch(train_states[k], training_data, config, ranks), going, len(members))
    speed, seconds = sum(epoch.windows_per_s for epoch in epochs), (time.perf_counter() - started) / len(going)
    most = config.most_epochs
    done = (members[0].number - 1) * most
    done += sum(train_state.epoch if train_state.goes_on(config) else most for train_state in train_states)
    for k in going:
        if state := members[k].state:
            save_state(train_states[k], state, _made_for(members[k], config, ranks))
    for k, epoch in zip(going, epochs, strict=True):
        losses = epoch.training_loss, epoch.validation_loss
        of = members[k].number, config.ensemble_size
        watch(Progress(members[k].cell, train_states[k].epoch, most, *losses, speed, seconds, done, *of))
    trim_memory()


def _begin(member: Member, training_data: TrainingData, config: ModelConfig, ranks: Ranks) -> TrainState:
    """From the state that an interrupted training left, or afresh."""
    train_state = begin_afresh(member, training_data, config, ranks)
    if member.state:
        load_state(train_state, member.state, _made_for(member, config, ranks))
        if len(set(ranks.all_of(train_state.epoch))) > 1:  # they were killed while they wrote
            train_state = begin_afresh(member, training_data, config, ranks)
    if train_state.epoch == 0:
        train_state.note(
            ranks.of_first(validation_loss(train_state.net, training_data.validation)), train_state.net.state_dict()
        )
    return train_state


def begin_afresh(member: Member, training_data: TrainingData, config: ModelConfig, ranks: Ranks) -> TrainState:
    """All processes begin with the same weights, and go on with random numbers of their own."""
    torch.manual_seed(member.seed)
    channels, V = training_data.windows.values.shape[2], training_data.quantile_steps.shape[1]
    net = Seq2Seq(member.cell, channels, V, config, training_data.windows.external_forecasts)
    net.start_from(training_data.quantile_steps, training_data.quantile_steps_alone)
    if member.beginning:
        begin_with(net, member.beginning)
    if ranks.rank:
        torch.manual_seed(member.seed + (ranks.rank << 32))
    return begin(net.to(training_data.windows.device), np.random.default_rng([member.seed, ranks.rank]), config)


def _made_for(member: Member, config: ModelConfig, ranks: Ranks) -> str:
    """Which training a state belongs to."""
    return json.dumps([member.cell, member.seed, asdict(config), ranks.size, torch.__version__])


def _finish(train_state: TrainState) -> Trained:
    train_state.net.load_state_dict(train_state.best)
    return Trained(train_state.net.eval(), train_state.best_loss, train_state.seconds)
