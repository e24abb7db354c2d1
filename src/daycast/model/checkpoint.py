"""Checkpoints: one safetensors file, its header holding all that is not a tensor. Nothing in it can run."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from daycast.errors import ModelError
from daycast.model.baselines import BASELINES
from daycast.model.config import ModelConfig
from daycast.model.device import choose_device
from daycast.model.ensemble import Ensemble
from daycast.model.forecaster import Forecaster, Header, LinearWeights
from daycast.model.seq2seq import Seq2Seq
from daycast.prepare.channels import Channel
from daycast.prepare.scaler import Scale

_FORMAT = "daycast-3"
_KEY = "daycast"  # of all there is to say: safetensors writes several keys in a random order, and equal fits are equal files


def save_checkpoint(forecaster: Forecaster, path: Path) -> None:
    """Write the checkpoint beside `path` and move it into place: it is there whole or not at all."""
    tensors: dict[str, Tensor] = {
        "scale.mean": torch.from_numpy(forecaster.scale.mean),
        "scale.deviation": torch.from_numpy(forecaster.scale.deviation),
        "climatology": forecaster.climatology,
        **{f"residuals.{name}": own for name, own in forecaster.residuals.items()},
    }
    for name, weights in (("fitted", forecaster.fitted), ("refreshed", forecaster.refreshed)):
        if weights is not None:
            tensors.update({f"{name}.{part}": own for part, own in vars(weights).items() if own is not None})
    if forecaster.network is not None:
        tensors.update({f"network.{name}": tensor for name, tensor in forecaster.network.state_dict().items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    metadata = {_KEY: json.dumps({"format": _FORMAT, **asdict(forecaster.header)})}
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, beside, metadata)
    beside.replace(path)


def load_checkpoint(path: Path, device: str = "auto", *, refreshed: bool = True) -> Forecaster:
    """The forecaster of a checkpoint. Raises ModelError where the file is missing, damaged or not one of daycast's.

    refreshed: with the linear weights fitted to all hours there were, for serving; else with those of the training block
    alone, whose forecasts of the hours after `calibrated_until` can be judged.
    """
    place = choose_device(device)
    header = read_header(path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    forecaster = Forecaster(
        header=header,
        scale=Scale(np.asarray(tensors["scale.mean"]), np.asarray(tensors["scale.deviation"])),
        climatology=tensors["climatology"],
        fitted=_linear_weights(tensors, "fitted", place),
        refreshed=_linear_weights(tensors, "refreshed", place),
        residuals={name: tensors[f"residuals.{name}"] for name in BASELINES if f"residuals.{name}" in tensors},
        network=_load_network(header, tensors),
        device=place,
    )
    if refreshed:
        forecaster.linear = forecaster.refreshed
    return forecaster


def read_header(path: Path) -> Header:
    """What a checkpoint says of itself, without its tensors. Raises ModelError."""
    if not path.is_file():
        raise ModelError(f"there is no checkpoint {path}: retrain, or restore the file")
    try:
        with safe_open(path, framework="pt") as file:
            fields = json.loads((file.metadata() or {}).get(_KEY, "{}"))
    except SafetensorError as error:
        raise ModelError(f"{path} is no readable checkpoint ({error}): retrain, or restore the file") from None
    if (found := fields.pop("format", None)) != _FORMAT:
        raise ModelError(f"{path} has format {found!r}, not {_FORMAT!r}: retrain with this version")
    return _header(fields)


def _header(fields: dict[str, Any]) -> Header:
    return Header(
        **{
            **fields,
            "channels": tuple(Channel(**channel) for channel in fields["channels"]),
            "targets": tuple(fields["targets"]),
            "limits": tuple((low, high) for low, high in fields["limits"]),
            "traces": tuple(fields["traces"]),
            "stations": tuple(fields["stations"]),
            "members": tuple(fields["members"]),
            "covariates": tuple(Channel(**channel) for channel in fields.get("covariates", ())),
            "config": ModelConfig.from_json(fields["config"]),
        }
    )


def _linear_weights(tensors: dict[str, Tensor], name: str, device: torch.device) -> LinearWeights | None:
    if f"{name}.ridge" not in tensors:
        return None
    path = tensors.get(f"{name}.path")
    return LinearWeights(tensors[f"{name}.ridge"].to(device), None if path is None else path.to(device))


def _load_network(header: Header, tensors: dict[str, Tensor]) -> Ensemble | None:
    if not header.members:
        return None
    config, C, V = header.config, len(header.channels), len(header.targets)
    members = [Seq2Seq(cell, C, V, config, len(header.covariates)) for cell in header.members]
    ensemble = Ensemble(members)
    ensemble.load_state_dict(
        {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
    )
    return ensemble
