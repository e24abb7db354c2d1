"""Files of tensors: safetensors, with a checksum over all that is in them, so that damage is not calculated with."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from daycast.atomic_write import atomic_write

_KEY = "daycast"  # of all there is to say: safetensors writes several keys in a random order, and equal fits are equal files
_CHECKSUM = "checksum"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write tensors and what is said of them, which JSON must be able to hold. Raises StorageError."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {_KEY: json.dumps({**notes, _CHECKSUM: _checksum(plain, notes)})}
    with atomic_write(path) as draft:
        draft.write_bytes(save(plain, metadata))


def read_notes(path: Path) -> dict[str, Any]:
    """What is said of the tensors of a file, without looking at them; empty where nothing is.

    Raises ValueError where that cannot be read.
    """
    return {name: value for name, value in _read_notes(path).items() if name != _CHECKSUM}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file and what is said of them, as they were written; files of earlier versions have no checksum.

    Raises ValueError where either is damaged.
    """
    notes = _read_notes(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    expected = notes.pop(_CHECKSUM, None)
    if expected is not None and expected != _checksum(tensors, notes):
        raise ValueError("its checksum is not that of its content")
    return tensors, notes


def _read_notes(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            notes = json.loads((file.metadata() or {}).get(_KEY, "{}"))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if not isinstance(notes, dict):
        raise ValueError(f"{notes!r} is said of its tensors")  # noqa: TRY004 - of a file, not of an argument
    return notes


def _checksum(tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> str:
    """Of names, types, shapes and values of the tensors on a CPU, and of the notes."""
    total = hashlib.sha256(json.dumps(notes).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        total.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()
