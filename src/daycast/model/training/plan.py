"""How many epochs to train: as many as fit into the minutes allowed, measured with a few real training steps.

`plan_training` chooses from the ladder EPOCHS before training begins, so that the learning rate always falls to its end. The
number becomes part of the configuration in the checkpoint. A fit with that configuration needs no plan and repeats the first one
bit for bit on the same machine.
"""

import json
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

from daycast.files import atomic_write
from daycast.model.config import EPOCHS, ModelConfig
from daycast.model.training.parallel import Ranks, run_parallel
from daycast.model.training.refresh import refresh_steps
from daycast.model.training.state import TrainingData
from daycast.model.training.trainer import Member, start_training, take_steps, validation_loss
from daycast.times import minutes_and_seconds

_MEASURED_S = 1.5  # seconds of training steps
_FEWEST_STEPS = 3
_RESERVE = 1.1  # a machine is seldom as fast for minutes as for two seconds
_log = logging.getLogger("daycast")


@dataclass(frozen=True)
class Pace:
    """Seconds that training takes while as many members train as will train at the same time."""

    step: float  # of one optimizer step of each
    validation: float  # of one validation of each


@dataclass(frozen=True)
class TrainingPlan:
    """How many epochs each network is trained, and how long all of them are expected to take."""

    config: ModelConfig  # with `epochs` set
    seconds: float

    def __str__(self) -> str:
        config = self.config
        networks = f"{config.ensemble_size} network{'' if config.ensemble_size == 1 else 's'}"
        what = f"{networks} for about {minutes_and_seconds(self.seconds)}"
        return f"training {what}: {config.epochs} of at most {EPOCHS[-1]} epochs each, {config.max_minutes:g} minutes are allowed"


def plan_training(
    members: list[Member],
    at_once: int,
    training_data: TrainingData,
    config: ModelConfig,
    seconds_left: float,
    ranks: Ranks,
) -> TrainingPlan:
    """The longest training of EPOCHS that is expected to end within `seconds_left`, or the shortest if none is.

    Takes a few seconds. The trained weights of the measurement are thrown away.
    """
    pace = measure_pace(members[:at_once], training_data, config, ranks)
    groups = -(-len(members) // at_once)
    expected = {epochs: _seconds(pace, groups, epochs, config) for epochs in EPOCHS}
    fitting = [epochs for epochs, seconds in expected.items() if _RESERVE * seconds <= seconds_left]
    epochs = int(ranks.first(max(fitting, default=EPOCHS[0])))
    return TrainingPlan(replace(config, epochs=epochs), expected[epochs])


def measure_pace(members: list[Member], training_data: TrainingData, config: ModelConfig, ranks: Ranks) -> Pace:
    """Time training steps of these members, in parallel as in training, after one warm-up step each."""
    trial = replace(config, epochs=1)
    states = [start_training(member, training_data, trial, ranks) for member in members]

    def measure(k: int) -> Pace:
        take_steps(states[k], training_data, trial, ranks, 1)
        started, steps = time.perf_counter(), 0
        while steps < _FEWEST_STEPS or (ranks.size == 1 and time.perf_counter() - started < _MEASURED_S):
            take_steps(states[k], training_data, trial, ranks, 1)  # all ranks must take equally many
            steps += 1
        stepped = time.perf_counter()
        validation_loss(states[k].net, training_data.validation)
        return Pace((stepped - started) / steps, time.perf_counter() - stepped)

    paces = run_parallel(measure, range(len(states)), len(states))
    return Pace(max(pace.step for pace in paces), max(pace.validation for pace in paces))


def _seconds(pace: Pace, groups: int, epochs: int, config: ModelConfig) -> float:
    """Expected seconds: each group also validates before its first epoch, and in the end is refreshed.

    3 more validations a group for choosing members and baselines.
    """
    training = groups * (epochs * (config.steps_per_epoch * pace.step + pace.validation) + pace.validation)
    training += groups * refresh_steps(replace(config, epochs=epochs)) * pace.step
    return training + 3 * groups * pace.validation


def save_plan(plan: TrainingPlan, path: Path | None) -> None:
    """Write the plan beside the states of the networks, so that a resumed training keeps it. None: it is not saved."""
    if path is not None:
        with atomic_write(path) as draft:
            draft.write_text(json.dumps({"epochs": plan.config.epochs, "seconds": plan.seconds}), encoding="utf-8")


def load_plan(config: ModelConfig, path: Path | None) -> TrainingPlan | None:
    """The plan of an interrupted training; None if there is no readable one."""
    if path is None or not path.exists():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return TrainingPlan(replace(config, epochs=int(kept["epochs"])), float(kept["seconds"]))
    except (ValueError, KeyError, TypeError) as error:
        _log.warning("%s is no readable training plan (%s): a new one is made", path.name, error)
        return None
