"""Networks that begin with what the champion's have learnt."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from torch import Tensor, nn

from daycast.errors import ModelError
from daycast.model.checkpoint import load_checkpoint
from daycast.model.forecaster import Header
from daycast.prepare.channels import Channel

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
        ("of others' forecasts it read", _names(old.covariates), _names(new.covariates)),
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
