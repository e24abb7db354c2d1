"""Refresh the networks before they serve: they go on learning, now from all hours.

Training keeps the newest weeks for early stopping and for the holdout: with little history nearly half of it, and always the
weeks before those that come. The networks that were chosen go on from where they are, for a part of the steps they had, at a
lower learning rate. What is scored on the holdout are the networks before that, so the holdout stays unseen.
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
    at_once: how many networks learn at the same time.
    """
    panel = training_data.windows.panel
    everything = Block(0, panel.hours)
    all_hours = replace(
        training_data,
        block=everything,
        eligible=eligible_origins(panel, everything, training_data.quantile_steps.shape[1]),
        linear=training_data.linear.beyond(training_data.block),
    )
    steps = refresh_steps(config)
    gentle = replace(config, epochs=1, steps_per_epoch=steps, learning_rate=_LEARNING_RATE * config.learning_rate)
    torch.manual_seed(config.seed + (ranks.rank << 32))
    states = [
        init_state(copy.deepcopy(net), np.random.default_rng([config.seed, k, ranks.rank]), gentle)
        for k, net in enumerate(cast(Sequence[Seq2Seq], ensemble.members))
    ]
    try:
        run_parallel(lambda state: take_steps(state, all_hours, gentle, ranks, steps), states, at_once)
    finally:
        for state in states:
            state.halted = True  # after an interruption the other threads end with their current step
    return Ensemble([cast(Seq2Seq, state.average.module) for state in states]).eval()


def refresh_steps(config: ModelConfig) -> int:
    """How many steps each network takes."""
    return max(round(SHARE * config.most_epochs * config.steps_per_epoch), 1)
