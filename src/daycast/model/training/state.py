"""What a training leaves behind after each epoch, so that one that was killed goes on from there: a safetensors file.

The state goes back to the last bit: on a CPU, with as many threads, the weights in the end are those of a training that was
never interrupted.
"""

import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from daycast.errors import ModelError
from daycast.features.channels import Channel
from daycast.features.splits import Block
from daycast.model.checkpoint import load_checkpoint, read_tensors, write_tensors
from daycast.model.config import ModelConfig
from daycast.model.forecaster import Header
from daycast.model.linear.fit import CrossFit
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.training.parallel import ALONE, Ranks
from daycast.model.windows import Batch, Windows

# Networks that begin with what the champion's have learnt.


_log = logging.getLogger("daycast")
Weights = Mapping[str, Tensor]


def read_beginnings(checkpoint: Path, new: Header) -> dict[str, list[Weights]]:
    """The weights of each network of a checkpoint, by cell; none, and a log line that says why, where they do not fit.

    new: of what begins with them. Nor do they fit where they have learnt, or were chosen by, hours that are later than those it
    learns and is chosen by: what it is validated and judged on would be known to it.
    """
    try:
        champion = load_checkpoint(checkpoint, "cpu")
    except ModelError as error:
        return _refuse(str(error))
    if misfit := _find_misfit(champion.header, new):
        return _refuse(misfit)
    if champion.network is None:
        return _refuse("it is a baseline without networks")
    beginnings = dict[str, list[Weights]]()
    for cell, member in zip(champion.header.members, champion.network.members, strict=True):
        beginnings.setdefault(cell, []).append(member.state_dict())
    return beginnings


def _find_misfit(old: Header, new: Header) -> str | None:
    """Why the networks of one fit cannot begin those of another, if so."""
    for what, was, now in (
        ("it read", _names(old.channels), _names(new.channels)),
        ("of others' forecasts it read", _names(old.external_forecasts), _names(new.external_forecasts)),
        ("it forecast", ", ".join(old.targets), ", ".join(new.targets)),
    ):
        if was != now:
            return f"{what} {was or 'nothing'}, and now it is {now or 'nothing'}"
    for later, limit in ((old.trained_until, new.trained_until), (old.calibrated_until, new.calibrated_until)):
        if datetime.fromisoformat(later) > datetime.fromisoformat(limit):
            return f"it knows the hours up to {later}, and now they end at {limit}"
    return None


def begin_with(net: nn.Module, weights: Weights) -> None:
    """Give a network these weights; where it is built otherwise, a log line says so and it stays as it is."""
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    other = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if own == other:
        net.load_state_dict(weights)
        return
    name = next(name for name in {**own, **other} if own.get(name) != other.get(name))
    _refuse(f"its {name} is {other.get(name, 'not there')}, and now it is {own.get(name, 'not there')}")


def next_beginning(beginnings: Mapping[str, Sequence[Weights]], cell: str, count: int) -> Weights | None:
    """What the next network of a cell begins with, after `count` others: each of the champion's in turn."""
    if not beginnings:
        return None
    if cell not in beginnings:
        _refuse(f"it is {'+'.join(beginnings)}, and now it is {cell}")
        return None
    return beginnings[cell][count % len(beginnings[cell])]


def _refuse(reason: str) -> dict[str, list[Weights]]:
    _log.warning("training cannot begin with the champion's networks (%s) and begins from scratch", reason)
    return {}


def _names(channels: Sequence[Channel]) -> str:
    return ", ".join(f"{channel.variable} ({channel.part})" for channel in channels)


# What the members of an ensemble learn from.


@dataclass(frozen=True)
class TrainingData:
    """What the members of an ensemble learn from, and what tells them to stop."""

    windows: Windows
    block: Block
    eligible: np.ndarray  # (S, T) bool: the training windows, all in the block
    linear: CrossFit  # the linear path, which stays as it is
    quantile_steps: Tensor  # (H, V, Q): the distances between quantiles to start from
    validation: Sequence[tuple[Batch, Tensor]]  # later windows, each with the linear path's forecast (B, H, V)
    quantile_steps_alone: Tensor | None = None  # (H, V, Q): the same where nobody else forecast; None: nobody does
    beginnings: Mapping[str, Sequence[Weights]] = field(
        default_factory=dict
    )  # by cell: weights for networks to begin with


# Where a training leaves its state, what it begins with, and with whom it is shared.


@dataclass(frozen=True)
class TrainContext:
    """What a training meets beside its data and its configuration; by default it begins with nothing and leaves nothing."""

    keep: Path | None = None  # beginning of the names of the files that hold the state of each network in training
    champion: Path | None = None  # the checkpoint whose networks it begins with
    ranks: Ranks = ALONE

    def state_of(self, member: str) -> Path | None:
        """The file of one member's state, of this process."""
        process = f"-{self.ranks.rank}" if self.ranks.rank else ""
        return None if self.keep is None else self.keep.with_name(f"{self.keep.name}.{member}{process}.resume")


FRESH = TrainContext()


# One network's training as far as it has come: all that must be kept for it to go on as if it had never stopped.


@dataclass
class TrainState:
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


def begin(net: Seq2Seq, rng: np.random.Generator, config: ModelConfig) -> TrainState:
    """The course of a network that lies on its device and has learnt nothing yet."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = max(config.most_epochs * config.steps_per_epoch, 1)
    return TrainState(
        net=net,
        average=AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay)),
        optimizer=optimizer,
        schedule=LambdaLR(optimizer, _rise_and_fall(steps)),
        rng=rng,
        best=copy.deepcopy(net.state_dict()),
    )


def _rise_and_fall(steps: int) -> Callable[[int], float]:
    """The learning rate's share of its height: up in a twelfth of the steps, then down half a cosine."""
    return lambda step: min((step + 1) * 12 / steps, 1.0) * max((1 + math.cos(math.pi * step / steps)) / 2, 0.01)


_FORMAT = "daycast-resume-2"
_NUMBERS = ("epoch", "best_epoch", "best_loss", "seconds")


def save_state(train_state: TrainState, path: Path, made_for: str) -> None:
    """Write the state to `path`, whole or not at all. made_for: the training that may go on from it."""
    optimizer = train_state.optimizer.state_dict()
    tensors = {**_networks(train_state), **_generators()}
    tensors |= {
        f"optimizer.{i}.{name}": value for i, part in optimizer["state"].items() for name, value in part.items()
    }
    notes = {
        "format": _FORMAT,
        "made_for": made_for,
        **{name: getattr(train_state, name) for name in _NUMBERS},
        "groups": optimizer["param_groups"],
        "schedule": train_state.schedule.state_dict(),
        "numpy": train_state.rng.bit_generator.state,
    }
    write_tensors(path, tensors, notes)


def load_state(train_state: TrainState, path: Path, made_for: str) -> None:
    """Let a course that has only begun go on from the state a file holds, if there is one; what is none of ours is left alone."""
    if not path.exists():
        return
    try:
        tensors, notes = _read(path, made_for)
        _check_shapes(_networks(train_state), tensors)
        _put_back(train_state, tensors, notes)
    except (OSError, ValueError, KeyError) as error:
        _log.warning("%s is no state to go on from (%s): training starts afresh", path.name, error)
    else:
        _log.info("training goes on after epoch %d, from %s", train_state.epoch, path.name)


def forget_states(keep: Path) -> None:
    """Remove the states, and what a kill left of them, whose names begin with that of `keep`: their checkpoint is whole."""
    for path in keep.parent.glob(f"{keep.name}.*.resume*"):
        path.unlink(missing_ok=True)


def _networks(train_state: TrainState) -> dict[str, Tensor]:
    parts = {
        "network": train_state.net.state_dict(),
        "average": train_state.average.state_dict(),
        "best": train_state.best,
    }
    return {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}


def _generators() -> dict[str, Tensor]:
    cuda = {"generator.cuda": torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else {}
    return {"generator.cpu": torch.get_rng_state(), **cuda}


def _read(path: Path, made_for: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, notes = read_tensors(path)
    if notes.get("format") != _FORMAT:
        raise ValueError(f"its format is {notes.get('format')!r}, not {_FORMAT!r}")
    if notes["made_for"] != made_for:
        raise ValueError("another training made it")
    return tensors, notes


def _check_shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raises ValueError before anything is put back where the networks are of another shape."""
    for name, tensor in expected.items():
        if name not in found or found[name].shape != tensor.shape:
            raise ValueError(f"it has no {name} of shape {tuple(tensor.shape)}")


def _put_back(train_state: TrainState, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    train_state.net.load_state_dict(part("network."))
    train_state.average.load_state_dict(part("average."))
    train_state.best = part("best.")
    train_state.optimizer.load_state_dict({"state": moments, "param_groups": notes["groups"]})
    train_state.schedule.load_state_dict(notes["schedule"])
    train_state.rng.bit_generator.state = notes["numpy"]
    torch.set_rng_state(tensors["generator.cpu"])
    if torch.cuda.is_initialized() and "generator.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["generator.cuda"])
    for name in _NUMBERS:
        setattr(train_state, name, notes[name])
