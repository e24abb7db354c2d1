"""Train the members of an ensemble, as many at once as there are cores, and choose among them by validation loss."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from daycast.model.config import ModelConfig
from daycast.model.forecaster import Ensemble
from daycast.model.network.cells import AUTO
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.training.parallel import Ranks, threads_for
from daycast.model.training.plan import load_plan, plan_training, save_plan
from daycast.model.training.refresh import refresh
from daycast.model.training.state import FRESH, TrainContext, TrainingData, next_beginning
from daycast.model.training.trainer import Member, Progress, pinball_losses, train_together, validation_loss
from daycast.model.windows import Batch

# A single kind of cell must validate better than all members together by this fraction, because an average of more networks
# loses less on next year's weather.
_MARGIN = 0.01
_BASE_WEIGHTS = tuple(step / 20 for step in range(21))
_log = logging.getLogger("daycast")


class TrainedEnsemble(NamedTuple):
    """The result of training an ensemble."""

    cells: tuple[str, ...]  # of the chosen members
    ensemble: Ensemble  # the chosen members
    losses: dict[str, float]  # validation loss of every choice
    members: int  # how many were trained


def plan_ensemble(training_data: TrainingData, config: ModelConfig, context: TrainContext, spent: float) -> ModelConfig:
    """The configuration with `epochs` set: as given, else as an interrupted training had planned, else by a new plan.

    spent: seconds of `max_minutes` that the linear path took; the same time is reserved for the holdout.
    """
    if config.epochs is not None:
        return config
    path, ranks = context.state_of("plan"), context.ranks
    plan = load_plan(config, path)
    planned = all(ranks.gather(plan is not None))  # some of the processes may have been killed before they saved one
    if plan is None or not planned:
        left = 60 * config.max_minutes - 2 * spent
        members, at_once = _make_members(training_data, config, context), _at_once(training_data, config, ranks)
        plan = plan_training(members, at_once, training_data, config, left, ranks)
        save_plan(plan, path)
    _log.info("%s", plan)
    return plan.config


def train_ensemble(
    training_data: TrainingData,
    config: ModelConfig,
    on_progress: Callable[[Progress], None],
    context: TrainContext = FRESH,
) -> TrainedEnsemble:
    """Train the members and choose among them.

    With `cell = "auto"` the members alternate between GRU and LSTM, and validation chooses one kind or all members together.
    No further member starts after `max_minutes`.
    """
    ranks, waiting = context.ranks, _make_members(training_data, config, context)
    at_once, spent, trained = _at_once(training_data, config, ranks), 0.0, list[tuple[str, Seq2Seq]]()
    for group in (waiting[k : k + at_once] for k in range(0, len(waiting), at_once)):
        if trained and ranks.first(spent) > 60 * config.max_minutes:
            break
        done = train_together(group, training_data, config, on_progress, ranks)
        trained += [(member.cell, one.net) for member, one in zip(group, done, strict=True)]
        spent += max(one.seconds for one in done)
    return TrainedEnsemble(*_choose(trained, training_data), len(trained))


@torch.inference_mode()
def weigh_base(
    ensemble: Ensemble, base: Callable[[Batch], tuple[Tensor, Tensor]], validation: Sequence[tuple[Batch, Tensor]]
) -> tuple[float, ...]:
    """The weights of the base network in the mean with the ensemble that validate best, one of 0 to 1 for each target.

    base: gives the base network's quantiles (B, H, V, Q) of a batch, and where it has any (B, V). validation: batches, each with
    the linear path's forecast (B, H, V).
    """
    losses = torch.zeros(len(_BASE_WEIGHTS), validation[0][1].shape[2])  # (W, V)
    for batch, linear in validation:
        own, (other, known) = ensemble(batch, linear), base(batch)  # (B, H, V, Q), (B, V)
        for row, weight in enumerate(_BASE_WEIGHTS):
            mixed = torch.lerp(own, other, (weight * known)[:, None, :, None])
            losses[row] += pinball_losses(mixed, *batch.truth_of(losses.shape[1]))[0].sum(dim=(0, 1)).cpu()
    return tuple(_BASE_WEIGHTS[row] for row in losses.argmin(dim=0).tolist())


def refresh_ensemble(
    ensemble: Ensemble, training_data: TrainingData, config: ModelConfig, context: TrainContext = FRESH
) -> Ensemble:
    """The ensemble that serves: its networks go on learning from all hours (see `refresh`)."""
    _log.info("the networks go on learning from all hours, for a third of their steps")
    at_once = _at_once(training_data, config, context.ranks)
    return refresh(ensemble, training_data, config, at_once, context.ranks)


def _make_members(training_data: TrainingData, config: ModelConfig, context: TrainContext) -> list[Member]:
    cells = AUTO if config.cell == "auto" else (config.cell,)
    return [_make_member(index, cells, training_data, config, context) for index in range(config.ensemble_size)]


def _make_member(
    index: int, cells: Sequence[str], training_data: TrainingData, config: ModelConfig, context: TrainContext
) -> Member:
    cell, earlier = cells[index % len(cells)], index // len(cells)  # earlier: members with the same cell
    state = context.state_of(f"{index + 1}-{cell}")
    beginning = next_beginning(training_data.beginnings, cell, earlier)
    return Member(cell, 1000 * config.seed + index + 1, index + 1, state, beginning)


def _at_once(training_data: TrainingData, config: ModelConfig, ranks: Ranks) -> int:
    """How many members train at the same time: with stacked layers one, for their dropout draws from torch's global generator."""
    return 1 if ranks.size > 1 or config.layers > 1 else threads_for(training_data.windows.device)


def _choose(
    members: Sequence[tuple[str, Seq2Seq]], training_data: TrainingData
) -> tuple[tuple[str, ...], Ensemble, dict[str, float]]:
    """The cells and the ensemble with the lowest validation loss, and the loss of every choice: each cell, and all together."""
    choices: dict[str, Sequence[tuple[str, Seq2Seq]]] = {
        cell: [member for member in members if member[0] == cell] for cell, _ in members
    }
    if len(choices) > 1:
        choices["+".join(choices)] = members
    ensembles = {name: Ensemble([net for _, net in chosen]) for name, chosen in choices.items()}
    losses = {name: validation_loss(ensemble, training_data.validation) for name, ensemble in ensembles.items()}
    best = min(
        losses, key=lambda name: losses[name] * (1 if len(ensembles[name].members) == len(members) else 1 + _MARGIN)
    )
    return tuple(cell for cell, _ in choices[best]), ensembles[best], losses
