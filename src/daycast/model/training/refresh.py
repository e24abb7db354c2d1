"""Refresh the networks before they serve: they go on learning, now from all hours.

Training keeps the newest weeks for early stopping and for the holdout: with little history that is half of it, and always the
season that comes next. The networks that were chosen go on from where they are, for a part of the steps they had, at a lower
learning rate. What is scored on the holdout are the networks before that, so the holdout stays unseen.

H leads, V targets.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from daycast.features.splits import Block
from daycast.model.config import ModelConfig
from daycast.model.forecaster import Ensemble
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.training.parallel import Ranks, run_parallel
from daycast.model.training.sampling import eligible_origins
from daycast.model.training.state import TrainingData, init_state
from daycast.model.training.trainer import take_steps

SHARE = 1 / 3  # of the steps of training
_LEARNING_RATE = 0.3  # of the highest of training


def refresh(
    ensemble: Ensemble, training_data: TrainingData, config: ModelConfig, at_once: int, ranks: Ranks
) -> Ensemble:
    """Copies of an ensemble's networks after further steps on all hours of the panel. On a CPU the same to the bit each time.

    The linear path forecasts windows after the training block with the weights of that block, which have not seen them either.
    """
    panel = training_data.windows.panel
    everything = Block(0, panel.hours)
    all_hours = replace(
        training_data,
        block=everything,
        eligible=eligible_origins(panel, everything, training_data.quantile_steps.shape[1]),
        linear=training_data.linear.beyond(training_data.block),
    )
    steps = steps_of(config)
    gentle = replace(config, epochs=1, steps_per_epoch=steps, learning_rate=_LEARNING_RATE * config.learning_rate)
    members = cast(Sequence[Seq2Seq], ensemble.members)

    def refreshed(k: int) -> Seq2Seq:
        rng = np.random.default_rng([config.seed, k, ranks.rank])
        state = init_state(copy.deepcopy(members[k]), rng, gentle)
        take_steps(state, all_hours, gentle, ranks, steps)
        return cast(Seq2Seq, state.average.module.eval())

    torch.manual_seed(config.seed + (ranks.rank << 32))
    return Ensemble(run_parallel(refreshed, range(len(members)), at_once))


def steps_of(config: ModelConfig) -> int:
    """How many steps each network takes."""
    return max(round(SHARE * config.most_epochs * config.steps_per_epoch), 1)
