"""What a training starts from, what it works on, and the state from which it can be resumed.

In order: `TrainingData` and `TrainContext`, the inputs; `TrainState`, one network in training; its file; warm starts from the
champion's networks.

A state is saved as a safetensors file after each epoch and restored to the last bit: on a CPU with the same number of threads, a
resumed training ends with the weights of one that was never interrupted.
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

_FORMAT = "daycast-resume-2"
_NUMBERS = ("epoch", "best_epoch", "best_loss", "seconds")
_log = logging.getLogger("daycast")
Weights = Mapping[str, Tensor]  # a state_dict


@dataclass(frozen=True)
class TrainingData:
    """What the members of an ensemble are trained and validated on."""

    windows: Windows
    block: Block
    eligible: np.ndarray  # (S, T) bool: stations and hours of issue of the training windows, all in the block
    linear: CrossFit  # the linear path, which training does not change
    quantile_steps: Tensor  # (H, V, Q): initial distances between neighbouring quantiles, scaled
    validation: Sequence[tuple[Batch, Tensor]]  # later windows, each batch with the linear path's forecast (B, H, V)
    quantile_steps_alone: Tensor | None = (
        None  # (H, V, Q): for leads without external forecast; None: the model reads none
    )
    beginnings: Mapping[str, Sequence[Weights]] = field(default_factory=dict)  # initial weights, by cell


@dataclass(frozen=True)
class TrainContext:
    """Training context: where states are saved, the checkpoint of a warm start, and the process ranks. By default none."""

    keep: Path | None = None  # file name prefix of the states of networks in training; None: they are not saved
    champion: Path | None = None  # the checkpoint from whose networks training starts
    ranks: Ranks = ALONE

    def state_of(self, member: str) -> Path | None:
        """The file of one member's state, of this process."""
        process = f"-{self.ranks.rank}" if self.ranks.rank else ""
        return None if self.keep is None else self.keep.with_name(f"{self.keep.name}.{member}{process}.resume")


FRESH = TrainContext()


@dataclass
class TrainState:
    """One network in training, after a whole number of epochs: all that resuming needs, except torch's global random state."""

    net: Seq2Seq
    average: AveragedModel  # exponential moving average of the weights
    optimizer: torch.optim.AdamW
    schedule: LambdaLR
    rng: np.random.Generator
    best: dict[str, Tensor]  # the averaged weights with the lowest validation loss
    best_loss: float = math.inf
    best_epoch: int = 0
    epoch: int = 0
    seconds: float = 0.0  # of training, without interruptions
    halted: bool = False  # set when the training was interrupted: its thread stops after the current step

    def record(self, loss: float, weights: dict[str, Tensor]) -> None:
        """Copy the weights of this epoch if their validation loss is the lowest so far."""
        if loss < self.best_loss:
            self.best_loss, self.best, self.best_epoch = loss, copy.deepcopy(weights), self.epoch

    def should_continue(self, config: ModelConfig) -> bool:
        """Whether there is another epoch to train: False after `most_epochs`, or `patience` epochs without improvement."""
        waited = self.epoch - self.best_epoch
        return self.epoch < config.most_epochs and (waited == 0 or waited < config.patience)


def init_state(net: Seq2Seq, rng: np.random.Generator, config: ModelConfig) -> TrainState:
    """The state of a network that has not been trained yet. It must already be on its device."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = max(config.most_epochs * config.steps_per_epoch, 1)
    return TrainState(
        net=net,
        average=AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay)),
        optimizer=optimizer,
        schedule=LambdaLR(optimizer, _warm_up_and_cosine(steps)),
        rng=rng,
        best=copy.deepcopy(net.state_dict()),
    )


def _warm_up_and_cosine(steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at a step: linear warm-up over a twelfth of the steps, times half a cosine down to 0.01."""
    return lambda step: min((step + 1) * 12 / steps, 1.0) * max((1 + math.cos(math.pi * step / steps)) / 2, 0.01)


def save_state(state: TrainState, path: Path, fingerprint: str) -> None:
    """Write the state to `path`, whole or not at all. fingerprint: identifies the training that may resume from it."""
    optimizer = state.optimizer.state_dict()
    tensors = {**_networks(state), **_generators()}
    tensors |= {
        f"optimizer.{i}.{name}": value for i, part in optimizer["state"].items() for name, value in part.items()
    }
    metadata = {
        "format": _FORMAT,
        "made_for": fingerprint,
        **{name: getattr(state, name) for name in _NUMBERS},
        "groups": optimizer["param_groups"],
        "schedule": state.schedule.state_dict(),
        "numpy": state.rng.bit_generator.state,
    }
    write_tensors(path, tensors, metadata)


def load_state(state: TrainState, path: Path, fingerprint: str) -> None:
    """Restore an untrained state from a file, in place.

    A missing file leaves it as it is. So does a file that cannot be used, with a warning in the log.
    """
    if not path.exists():
        return
    try:
        tensors, metadata = _read(path, fingerprint)
        _check_shapes(_networks(state), tensors)
        _restore(state, tensors, metadata)
    except (OSError, ValueError, KeyError) as error:
        _log.warning("%s is no state to go on from (%s): training starts afresh", path.name, error)
    else:
        _log.info("training goes on after epoch %d, from %s", state.epoch, path.name)


def forget_states(keep: Path) -> None:
    """Delete all states with the name prefix of `keep`, and their unfinished files: the checkpoint is complete."""
    for path in keep.parent.glob(f"{keep.name}.*.resume*"):
        path.unlink(missing_ok=True)


def _networks(state: TrainState) -> dict[str, Tensor]:
    parts = {
        "network": state.net.state_dict(),
        "average": state.average.state_dict(),
        "best": state.best,
    }
    return {f"{part}.{name}": tensor for part, weights in parts.items() for name, tensor in weights.items()}


def _generators() -> dict[str, Tensor]:
    cuda = {"generator.cuda": torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else {}
    return {"generator.cpu": torch.get_rng_state(), **cuda}


def _read(path: Path, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"its format is {metadata.get('format')!r}, not {_FORMAT!r}")
    if metadata["made_for"] != fingerprint:
        raise ValueError("another training made it")
    return tensors, metadata


def _check_shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise ValueError if a tensor is missing or has another shape, before anything is restored."""
    for name, tensor in expected.items():
        if name not in found or found[name].shape != tensor.shape:
            raise ValueError(f"it has no {name} of shape {tuple(tensor.shape)}")


def _restore(state: TrainState, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    state.net.load_state_dict(part("network."))
    state.average.load_state_dict(part("average."))
    state.best = part("best.")
    state.optimizer.load_state_dict({"state": moments, "param_groups": metadata["groups"]})
    state.schedule.load_state_dict(metadata["schedule"])
    state.rng.bit_generator.state = metadata["numpy"]
    torch.set_rng_state(tensors["generator.cpu"])
    if torch.cuda.is_initialized() and "generator.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["generator.cuda"])
    for name in _NUMBERS:
        setattr(state, name, metadata[name])


def read_beginnings(checkpoint: Path, new: Header) -> dict[str, list[Weights]]:
    """Initial weights for a warm start: those of each network of a checkpoint, by cell.

    Empty, with a warning in the log, if they do not fit the new fit's header: other channels or targets, or trained or chosen on
    later hours than the new fit, whose validation and holdout they would then know.
    """
    try:
        champion = load_checkpoint(checkpoint, "cpu")
    except ModelError as error:
        return _refuse(str(error))
    if misfit := _find_misfit(champion.header, new):
        return _refuse(misfit)
    network = champion.fitted.network if champion.fitted else None  # not the refreshed ones: those know the holdout
    if network is None:
        return _refuse("it is a baseline without networks")
    beginnings = dict[str, list[Weights]]()
    for cell, member in zip(champion.header.members, network.members, strict=True):
        beginnings.setdefault(cell, []).append(member.state_dict())
    return beginnings


def _find_misfit(old: Header, new: Header) -> str | None:
    """Why the networks of the old fit cannot initialise those of the new one; None if they can."""
    for what, was, now in (
        ("it read", _names(old.channels), _names(new.channels)),
        ("of external forecasts it read", _names(old.external_forecasts), _names(new.external_forecasts)),
        ("it forecast", ", ".join(old.targets), ", ".join(new.targets)),
    ):
        if was != now:
            return f"{what} {was or 'nothing'}, and now it is {now or 'nothing'}"
    for later, limit in ((old.trained_until, new.trained_until), (old.calibrated_until, new.calibrated_until)):
        if datetime.fromisoformat(later) > datetime.fromisoformat(limit):
            return f"it knows the hours up to {later}, and now they end at {limit}"
    return None


def load_initial_weights(net: nn.Module, weights: Weights) -> None:
    """Load weights into a network. If a name or shape differs, log a warning and leave the network as it is."""
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    other = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if own == other:
        net.load_state_dict(weights)
        return
    name = next(name for name in {**own, **other} if own.get(name) != other.get(name))
    _refuse(f"its {name} is {other.get(name, 'not there')}, and now it is {own.get(name, 'not there')}")


def next_beginning(beginnings: Mapping[str, Sequence[Weights]], cell: str, count: int) -> Weights | None:
    """The initial weights of the next network of a cell, after `count` others: the champion's networks take turns."""
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
