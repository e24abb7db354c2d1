"""Checkpoints: one safetensors file, whose header holds as JSON everything that is not a tensor. Nothing in it can be executed.

First the checkpoints of forecasters, then the files below them: tensors and metadata with a checksum over both, so that damage
is noticed before it is calculated with. States of training use these too.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from daycast.errors import ModelError
from daycast.features.channels import Channel, Scale
from daycast.files import atomic_write
from daycast.model.base.network import BaseNetwork
from daycast.model.baselines import BASELINES
from daycast.model.config import ModelConfig
from daycast.model.device import choose_device
from daycast.model.forecaster import Ensemble, Forecaster, Header, LearnedWeights
from daycast.model.network.seq2seq import Seq2Seq

_FORMAT, _BASE_FORMAT = "daycast-3", "daycast-base-1"
_SHIPPED_BASE = Path(__file__).parent / "base" / "base.safetensors"
# tensors of older files
_OLD_NAMES = {"spread": "quantile_steps", "spread_alone": "quantile_steps_alone", "lessons": "step"}
_WAYS_OUT = "`daycast models rollback`, or `daycast retrain`"
_KEY = (
    "daycast"  # one key for all metadata: safetensors writes several in random order, and equal fits give equal files
)
_CHECKSUM = "checksum"
_BASE = "base."
_NETWORK = {"fitted": "network.", "refreshed": "refreshed.network."}  # where the networks' tensors are, by weights


def save_checkpoint(forecaster: Forecaster, path: Path) -> None:
    """Write the checkpoint to `path`, whole or not at all. Raises StorageError."""
    tensors: dict[str, Tensor] = {
        "scale.mean": torch.from_numpy(forecaster.scale.mean),
        "scale.deviation": torch.from_numpy(forecaster.scale.deviation),
        "climatology": forecaster.climatology,
        **{f"residuals.{name}": own for name, own in forecaster.residuals.items()},
    }
    for name, weights in (("fitted", forecaster.fitted), ("refreshed", forecaster.refreshed)):
        if weights is not None:
            tensors.update(_tensors_of(weights, name))
    if forecaster.observed is not None:
        tensors["observed"] = forecaster.observed
    if forecaster.base is not None:
        tensors |= {f"{_BASE}{name}": tensor for name, tensor in forecaster.base.state_dict().items()}
    write_tensors(path, tensors, {"format": _FORMAT, **asdict(forecaster.header)})


def load_checkpoint(path: Path, device: str = "auto", *, refreshed: bool = True) -> Forecaster:
    """The forecaster of a checkpoint. Raises ModelError if the file is missing, damaged or not a checkpoint of daycast.

    refreshed: use the weights that have seen all hours, for serving; otherwise those of the training block, whose forecasts of
    the hours after `calibrated_until` can be scored.
    """
    place = choose_device(device)
    with _damage_as_model_error(path):
        tensors, metadata = read_tensors(path)
        forecaster = _assemble(_header(path, metadata), tensors, place)
    if refreshed:
        forecaster.weights = forecaster.refreshed
    return forecaster


def read_header(path: Path) -> Header:
    """The header of a checkpoint, without reading its tensors. Raises ModelError as `load_checkpoint`."""
    with _damage_as_model_error(path):
        return _header(path, read_metadata(path))


def check_checkpoint(path: Path) -> tuple[str, ...]:
    """Load a checkpoint completely and return the names of its forecasters. Raises ModelError as `load_checkpoint`."""
    return load_checkpoint(path, "cpu").names


@contextmanager
def _damage_as_model_error(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise ModelError(f"there is no checkpoint {path}: restore the file, {_WAYS_OUT}")
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} is no readable checkpoint ({why}): restore the file, {_WAYS_OUT}") from error


def _assemble(header: Header, tensors: dict[str, Tensor], device: torch.device) -> Forecaster:
    return Forecaster(
        header=header,
        scale=Scale(np.asarray(tensors["scale.mean"]), np.asarray(tensors["scale.deviation"])),
        climatology=tensors["climatology"],
        fitted=_load_weights(header, tensors, "fitted"),
        refreshed=_load_weights(header, tensors, "refreshed"),
        residuals={name: tensors[f"residuals.{name}"] for name in BASELINES if f"residuals.{name}" in tensors},
        device=device,
        observed=tensors.get("observed"),
        base=_load_base({name.removeprefix(_BASE): own for name, own in tensors.items() if name.startswith(_BASE)}),
    )


def _header(path: Path, fields: dict[str, Any]) -> Header:
    if (found := fields.pop("format", None)) != _FORMAT:
        raise ModelError(f"{path} has format {found!r}, not {_FORMAT!r}: retrain with this version")
    external = fields.pop("external_forecasts", fields.pop("covariates", ()))
    return Header(
        **{
            **fields,
            "channels": tuple(Channel(**channel) for channel in fields["channels"]),
            "targets": tuple(fields["targets"]),
            "limits": tuple((low, high) for low, high in fields["limits"]),
            "traces": tuple(fields["traces"]),
            "stations": tuple(fields["stations"]),
            "members": tuple(fields["members"]),
            "external_forecasts": tuple(Channel(**channel) for channel in external),
            "departures": tuple(fields.get("departures", ())),
            **{name: tuple(fields.get(name, ())) for name in ("base_weights", "base_weights_alone")},
            "config": ModelConfig.from_json(fields["config"]),
        }
    )


def _tensors_of(weights: LearnedWeights, name: str) -> dict[str, Tensor]:
    tensors = {f"{name}.ridge": weights.ridge}
    if weights.path is not None:
        tensors[f"{name}.path"] = weights.path
    if weights.network is not None:
        prefix = _NETWORK[name]
        tensors |= {f"{prefix}{key}": tensor for key, tensor in weights.network.state_dict().items()}
    return tensors


def _load_weights(header: Header, tensors: dict[str, Tensor], name: str) -> LearnedWeights | None:
    if f"{name}.ridge" not in tensors:
        return None
    prefix = _NETWORK[name]
    if not any(key.startswith(prefix) for key in tensors):  # earlier versions refreshed the linear weights alone
        prefix = _NETWORK["fitted"]
    return LearnedWeights(tensors[f"{name}.ridge"], tensors.get(f"{name}.path"), _load_network(header, tensors, prefix))


def _load_network(header: Header, tensors: dict[str, Tensor], prefix: str) -> Ensemble | None:
    if not header.members:
        return None
    config, C, V = header.config, len(header.channels), len(header.targets)
    members = [Seq2Seq(cell, C, V, config, len(header.external_forecasts)) for cell in header.members]
    ensemble = Ensemble(members)
    weights = {_current_name(name.removeprefix(prefix)): t for name, t in tensors.items() if name.startswith(prefix)}
    _load_state(ensemble, weights)
    return ensemble


def _current_name(name: str) -> str:
    """The name of a network's tensor in this version."""
    module, _, own = name.rpartition(".")
    return f"{module}.{_OLD_NAMES.get(own, own)}"


def save_base(network: BaseNetwork, path: Path, about: Mapping[str, Any]) -> None:
    """Write a base network; about: how it was made, as JSON. Raises StorageError."""
    write_tensors(path, network.state_dict(), {"format": _BASE_FORMAT, **about})


def load_base(path: Path = _SHIPPED_BASE) -> BaseNetwork:
    """A base network, by default the one that comes with the package. Raises ModelError if the file is not a whole one."""
    try:
        tensors, metadata = read_tensors(path)
        network = _load_base(tensors) if metadata.get("format") == _BASE_FORMAT else None
    except ValueError as error:
        raise ModelError(f"{path} is no readable base network ({error}): install daycast anew") from error
    if network is None:
        raise ModelError(
            f"{path} has format {metadata.get('format')!r}, not {_BASE_FORMAT!r}: make it with `daycast pretrain`"
        )
    return network


def base_digest() -> str:
    """Eight hexadecimal digits that tell the base network of this package from others."""
    return hashlib.sha256(_SHIPPED_BASE.read_bytes()).hexdigest()[:8]


def _load_base(tensors: Mapping[str, Tensor]) -> BaseNetwork | None:
    if not tensors:
        return None
    network = BaseNetwork(len(tensors["merge.bias"]))
    _load_state(network, tensors)
    return network


def _load_state(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:  # a name or shape differs
        raise ValueError(str(error)) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and metadata, which must be JSON, as a safetensors file. Raises StorageError."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {_KEY: json.dumps({**metadata, _CHECKSUM: _checksum(plain, metadata)})}
    with atomic_write(path) as draft:
        draft.write_bytes(save(plain, header))


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a file of tensors, empty if it has none. Raises ValueError if it cannot be read."""
    return {name: value for name, value in _read_metadata(path).items() if name != _CHECKSUM}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the metadata of a file. Files of earlier versions have no checksum.

    Raises ValueError if the file is damaged.
    """
    metadata = _read_metadata(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    expected = metadata.pop(_CHECKSUM, None)
    if expected is not None and expected != _checksum(tensors, metadata):
        raise ValueError("its checksum is not that of its content")
    return tensors, metadata


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get(_KEY, "{}"))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if not isinstance(metadata, dict):
        raise ValueError(f"its metadata is {metadata!r}")  # noqa: TRY004 - of a file, not of an argument
    return metadata


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str:
    """SHA-256 of the metadata and of the names, types, shapes and values of the tensors, which must be on the CPU."""
    total = hashlib.sha256(json.dumps(metadata).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        total.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()
