"""Train the members of an ensemble, as many at once as there are cores, and let validation choose among cells."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from daycast.model.config import ModelConfig
from daycast.model.forecaster import Ensemble
from daycast.model.network.cells import AUTO
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.training.parallel import Ranks, threads_for
from daycast.model.training.plan import load_plan, plan_training, save_plan
from daycast.model.training.state import FRESH, TrainContext, TrainingData, next_beginning
from daycast.model.training.trainer import Member, Progress, train_together, validation_loss

_MARGIN = (
    0.01  # by which one kind alone must validate better than all together, for what averages more errs less next year
)


_log = logging.getLogger("daycast")


class TrainedEnsemble(NamedTuple):
    """What the training of an ensemble came to."""

    cells: tuple[str, ...]  # of the members chosen
    ensemble: Ensemble  # these members
    losses: dict[str, float]  # validation loss of every choice there was
    members: int  # how many were trained


def plan_ensemble(training_data: TrainingData, config: ModelConfig, context: TrainContext, spent: float) -> ModelConfig:
    """The configuration with its epochs decided: as given, as an interrupted training had planned, or by a plan made now.

    spent: seconds of `max_minutes` that the linear path took; as much is kept for what follows the networks, on the holdout.
    """
    if config.epochs is not None:
        return config
    kept, ranks = context.state_of("plan"), context.ranks
    plan = load_plan(config, kept)
    planned = all(ranks.all_of(plan is not None))  # of several processes some may have been killed before they had one
    if plan is None or not planned:
        left = 60 * config.max_minutes - 2 * spent
        members, at_once = _make_members(training_data, config, context), _at_once(training_data, config, ranks)
        plan = plan_training(members, at_once, training_data, config, left, ranks)
        save_plan(plan, kept)
    _log.info("%s", plan)
    return plan.config


def train_ensemble(
    training_data: TrainingData,
    config: ModelConfig,
    watch: Callable[[Progress], None],
    context: TrainContext = FRESH,
) -> TrainedEnsemble:
    """Train the members and choose among them.

    With `cell = "auto"` the members take turns being GRU and LSTM, and whichever validates best serves: one kind, or all of
    them together. No further members are begun once `max_minutes` are over.
    """
    ranks, waiting = context.ranks, _make_members(training_data, config, context)
    at_once, spent, trained = _at_once(training_data, config, ranks), 0.0, list[tuple[str, Seq2Seq]]()
    for some in (waiting[k : k + at_once] for k in range(0, len(waiting), at_once)):
        if trained and ranks.of_first(spent) > 60 * config.max_minutes:
            break
        done = train_together(some, training_data, config, watch, ranks)
        trained += [(member.cell, one.net) for member, one in zip(some, done, strict=True)]
        spent += max(one.seconds for one in done)
    return TrainedEnsemble(*_choose(trained, training_data), len(trained))


def _make_members(training_data: TrainingData, config: ModelConfig, context: TrainContext) -> list[Member]:
    kinds = AUTO if config.cell == "auto" else (config.cell,)
    return [_make_member(number, kinds, training_data, config, context) for number in range(config.ensemble_size)]


def _make_member(
    number: int, kinds: Sequence[str], training_data: TrainingData, config: ModelConfig, context: TrainContext
) -> Member:
    """number: counted from 0."""
    cell, begun = kinds[number % len(kinds)], number // len(kinds)
    state = context.state_of(f"{number + 1}-{cell}")
    beginning = next_beginning(training_data.beginnings, cell, begun)
    return Member(cell, 1000 * config.seed + number + 1, number + 1, state, beginning)


def _at_once(training_data: TrainingData, config: ModelConfig, ranks: Ranks) -> int:
    """How many members train at the same time. Between stacked layers dropout draws from torch's only generator: one."""
    return 1 if ranks.size > 1 or config.layers > 1 else threads_for(training_data.windows.device)


def _choose(
    members: Sequence[tuple[str, Seq2Seq]], training_data: TrainingData
) -> tuple[tuple[str, ...], Ensemble, dict[str, float]]:
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
