"""One network's training as far as it has come: all that must be kept for it to go on as if it had never stopped."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from daycast.model.config import ModelConfig
from daycast.model.seq2seq import Seq2Seq


@dataclass
class Course:
    """The state after a whole number of epochs, beside torch's own generator of random numbers."""

    net: Seq2Seq
    average: AveragedModel  # the running average of the weights
    optimizer: torch.optim.AdamW
    schedule: LambdaLR
    rng: np.random.Generator
    best: dict[str, Tensor]  # the averaged weights that validated best
    best_loss: float = math.inf
    best_epoch: int = 0
    epoch: int = 0
    seconds: float = 0.0  # that training took, interruptions left out
    halted: bool = False  # whether nobody waits for it any more

    def note(self, loss: float, weights: dict[str, Tensor]) -> None:
        """Keep the weights of this epoch if no earlier ones validated as well."""
        if loss < self.best_loss:
            self.best_loss, self.best, self.best_epoch = loss, copy.deepcopy(weights), self.epoch

    def goes_on(self, config: ModelConfig) -> bool:
        """Whether there is another epoch to train."""
        waited = self.epoch - self.best_epoch
        return self.epoch < config.most_epochs and (waited == 0 or waited < config.patience)


def begin(net: Seq2Seq, rng: np.random.Generator, config: ModelConfig) -> Course:
    """The course of a network that lies on its device and has learnt nothing yet."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = max(config.most_epochs * config.steps_per_epoch, 1)
    return Course(
        net=net,
        average=AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(config.weight_average)),
        optimizer=optimizer,
        schedule=LambdaLR(optimizer, _rise_and_fall(steps)),
        rng=rng,
        best=copy.deepcopy(net.state_dict()),
    )


def _rise_and_fall(steps: int) -> Callable[[int], float]:
    """The learning rate's share of its height: up in a twelfth of the steps, then down half a cosine."""
    return lambda step: min((step + 1) * 12 / steps, 1.0) * max((1 + math.cos(math.pi * step / steps)) / 2, 0.01)
