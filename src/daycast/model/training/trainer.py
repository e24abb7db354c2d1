"""The training loop: pinball loss, AdamW, clipped gradients, averaged weights, early stopping on a later block of time.

Read from top to bottom: `train_together` trains one or more networks epoch by epoch, `train_epoch` is one epoch of one network,
`take_steps` its optimizer steps, `pinball_loss` the loss. How a training starts or resumes follows at the end.

B batch, T 168 history hours, H 24 leads, C input channels, V targets, Q quantiles.
"""

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
from daycast.model.training.state import (
    TrainingData,
    TrainState,
    Weights,
    init_state,
    load_initial_weights,
    load_state,
    save_state,
)
from daycast.model.windows import Batch

CLIP_NORM = 1.0  # gradient norm: Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063


@dataclass(frozen=True)
class Progress:
    """Where training stands after an epoch of one member."""

    cell: str
    epoch: int
    epochs: int
    training_loss: float
    validation_loss: float
    windows_per_s: float  # of all members that train at the same time
    epoch_seconds: float  # divided by the number of members that train at the same time
    epochs_done: int  # of all members; epochs that early stopping saved count as done
    member: int = 1  # of the ensemble, counted from 1
    members: int = 1


class Member(NamedTuple):
    """A network to be trained."""

    cell: str
    seed: int
    number: int = 1  # in the ensemble, counted from 1
    state: Path | None = None  # file written after each epoch, from which an interrupted training resumes
    beginning: Weights | None = None  # initial weights; None: random ones


class Trained(NamedTuple):
    """A network at its best epoch."""

    net: Seq2Seq
    loss: float  # of validation
    seconds: float  # of training, without interruptions


class Epoch(NamedTuple):
    """The result of one epoch."""

    training_loss: float
    validation_loss: float
    windows_per_s: float  # of training, without validation, over all ranks


def train_together(
    members: Sequence[Member],
    training_data: TrainingData,
    config: ModelConfig,
    on_progress: Callable[[Progress], None],
    ranks: Ranks = ALONE,
) -> list[Trained]:
    """Train networks at the same time, one thread each, and return them at their best epochs.

    The running average of the weights is validated and returned (Polyak & Juditsky 1992, doi:10.1137/0330046). On a CPU the
    same seed, thread count and data give the same weights bit for bit.

    on_progress: called in the calling thread after each epoch of each member. ranks: the processes that train one network
    together, each on its own batches; then pass one member at a time.
    """
    states = [_resume_or_start(member, training_data, config, ranks) for member in members]
    try:
        while any(state.should_continue(config) for state in states):
            _train_epochs(members, states, training_data, config, on_progress, ranks)
    finally:
        for state in states:
            state.halted = True  # after an interruption the other threads end with their current step
    return [_finish(state) for state in states]


def _train_epochs(
    members: Sequence[Member],
    states: Sequence[TrainState],
    training_data: TrainingData,
    config: ModelConfig,
    on_progress: Callable[[Progress], None],
    ranks: Ranks,
) -> None:
    """Train one epoch of each member that has not stopped, save the states, and report."""
    started = time.perf_counter()
    running = [k for k, state in enumerate(states) if state.should_continue(config)]
    epochs = run_parallel(lambda k: train_epoch(states[k], training_data, config, ranks), running, len(members))
    speed, seconds = sum(epoch.windows_per_s for epoch in epochs), (time.perf_counter() - started) / len(running)
    most = config.most_epochs
    done = (members[0].number - 1) * most
    done += sum(state.epoch if state.should_continue(config) else most for state in states)
    for k in running:
        if path := members[k].state:
            save_state(states[k], path, _fingerprint(members[k], config, ranks))
    for k, epoch in zip(running, epochs, strict=True):
        losses = epoch.training_loss, epoch.validation_loss
        of = members[k].number, config.ensemble_size
        on_progress(Progress(members[k].cell, states[k].epoch, most, *losses, speed, seconds, done, *of))
    trim_memory()


def train_epoch(state: TrainState, training_data: TrainingData, config: ModelConfig, ranks: Ranks) -> Epoch:
    """Train one epoch, validate the averaged weights, and record them in the state. Shorter if the state is halted."""
    started = time.perf_counter()
    training_loss = take_steps(state, training_data, config, ranks, config.steps_per_epoch)
    speed = ranks.size * config.steps_per_epoch * config.batch_size / (time.perf_counter() - started)
    loss = ranks.first(validation_loss(state.average.module, training_data.validation))
    state.epoch += 1
    state.record(loss, state.average.module.state_dict())
    state.seconds += time.perf_counter() - started
    return Epoch(training_loss, loss, speed)


def take_steps(state: TrainState, training_data: TrainingData, config: ModelConfig, ranks: Ranks, steps: int) -> float:
    """Take optimizer steps, fewer if the state is halted; return the mean training loss."""
    net, device = state.net.train(), training_data.windows.device
    precision, generator = choose_precision(config.precision, device), torch.Generator(device)
    total = torch.zeros((), device=device)
    for _ in range(steps):
        if state.halted:
            break
        batch, linear = _draw_batch(training_data, config, state.rng)
        generator.manual_seed(int(state.rng.integers(1 << 63)))
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            quantiles = net(batch, linear, generator)  # (B, H, V, Q)
            loss = pinball_loss(quantiles, *batch.truth_of(net.targets))  # ()
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        ranks.average_gradients(net)
        nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        state.optimizer.step()
        state.schedule.step()
        state.average.update_parameters(net)
        total += loss.detach()
    return total.item() / steps


@torch.no_grad()
def _draw_batch(training_data: TrainingData, config: ModelConfig, rng: np.random.Generator) -> tuple[Batch, Tensor]:
    """Draw training windows, simulate outages in some, and forecast them with the linear path, (B, H, V)."""
    stations, origins = draw(training_data.eligible, config.batch_size, training_data.block, rng)  # (B,), (B,)
    outages = draw_outages(config.batch_size, config.input_dropout, rng)  # (B, T), (B, T)
    stations, origins, outage, outage_around = (
        part.to(training_data.windows.device) for part in (stations, origins, *outages)
    )
    batch = training_data.windows.gather(stations, origins, outage, outage_around)
    batch = drop_external(batch, config.input_dropout, rng)
    return batch, training_data.linear.forecast(batch, origins)


def pinball_loss(quantiles: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean pinball (quantile) loss over all values that are not missing; 0 if all are missing.

    quantiles (B, H, V, Q); truth (B, H, V), NaN where missing; weight (B, H, V), above 0: how much each truth counts in the
    mean; None: all count alike. Koenker & Bassett (1978), Econometrica 46(1), 33, doi:10.2307/1913643.
    """
    losses, weights = pinball_losses(quantiles, truth, weight)
    return losses.sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def pinball_losses(quantiles: Tensor, truth: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The pinball loss of each value times its weight, and the weight, which is 0 where the truth is missing. Both (B, H, V)

    Arguments as for `pinball_loss`.
    """
    levels = torch.tensor(QUANTILES, device=quantiles.device, dtype=quantiles.dtype)  # (Q,)
    valid = (~truth.isnan()).to(quantiles.dtype)  # (B, H, V)
    weights = valid if weight is None else weight * valid
    error = truth.nan_to_num(0.0)[..., None] - quantiles  # (B, H, V, Q)
    return torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1) * weights, weights


def validation_loss(net: nn.Module, validation: Sequence[tuple[Batch, Tensor]]) -> float:
    """The mean pinball loss over the validation batches, weighted by their number of windows."""
    net.eval()

    @torch.inference_mode()
    def loss_of(part: tuple[Batch, Tensor]) -> float:
        batch, linear = part
        return pinball_loss(net(batch, linear), *batch.truth_of(linear.shape[2])).item()

    losses = run_parallel(loss_of, validation, threads_for(validation[0][1].device))
    return float(np.average(losses, weights=[len(linear) for _, linear in validation]))


def _resume_or_start(member: Member, training_data: TrainingData, config: ModelConfig, ranks: Ranks) -> TrainState:
    state = start_training(member, training_data, config, ranks)
    if member.state:
        load_state(state, member.state, _fingerprint(member, config, ranks))
        if len(set(ranks.gather(state.epoch))) > 1:  # the processes were killed while they wrote: their epochs differ
            state = start_training(member, training_data, config, ranks)
    if state.epoch == 0:
        state.record(ranks.first(validation_loss(state.net, training_data.validation)), state.net.state_dict())
    return state


def start_training(member: Member, training_data: TrainingData, config: ModelConfig, ranks: Ranks) -> TrainState:
    """Build the network and its training state. All ranks get the same weights, and each its own random numbers."""
    torch.manual_seed(member.seed)
    C, V = training_data.windows.values.shape[2], training_data.quantile_steps.shape[1]
    net = Seq2Seq(member.cell, C, V, config, training_data.windows.external_forecasts)
    net.start_from(training_data.quantile_steps, training_data.quantile_steps_alone)
    if member.beginning:
        load_initial_weights(net, member.beginning)
    if ranks.rank:
        torch.manual_seed(member.seed + (ranks.rank << 32))
    return init_state(net.to(training_data.windows.device), np.random.default_rng([member.seed, ranks.rank]), config)


def _fingerprint(member: Member, config: ModelConfig, ranks: Ranks) -> str:
    """The training a saved state belongs to: only the same one may resume from it."""
    return json.dumps([member.cell, member.seed, asdict(config), ranks.size, torch.__version__])


def _finish(state: TrainState) -> Trained:
    state.net.load_state_dict(state.best)
    return Trained(state.net.eval(), state.best_loss, state.seconds)
