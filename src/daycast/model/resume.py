"""What a training leaves behind after each epoch, so that one that was killed goes on from there: a safetensors file.

The state goes back to the last bit: on a CPU, with as many threads, the weights in the end are those of a training that was
never interrupted.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from daycast.model.course import Course
from daycast.model.tensor_file import read_tensors, write_tensors

_log = logging.getLogger("daycast")
_FORMAT = "daycast-resume-2"
_NUMBERS = ("epoch", "best_epoch", "best_loss", "seconds")


def save_state(course: Course, path: Path, made_for: str) -> None:
    """Write the state to `path`, whole or not at all. made_for: the training that may go on from it."""
    optimizer = course.optimizer.state_dict()
    tensors = {**_networks(course), **_generators()}
    tensors |= {
        f"optimizer.{i}.{name}": value for i, part in optimizer["state"].items() for name, value in part.items()
    }
    notes = {
        "format": _FORMAT,
        "made_for": made_for,
        **{name: getattr(course, name) for name in _NUMBERS},
        "groups": optimizer["param_groups"],
        "schedule": course.schedule.state_dict(),
        "numpy": course.rng.bit_generator.state,
    }
    write_tensors(path, tensors, notes)


def load_state(course: Course, path: Path, made_for: str) -> None:
    """Let a course that has only begun go on from the state a file holds, if there is one; what is none of ours is left alone."""
    if not path.exists():
        return
    try:
        tensors, notes = _read(path, made_for)
        _check_shapes(_networks(course), tensors)
        _put_back(course, tensors, notes)
    except (OSError, ValueError, KeyError) as error:
        _log.warning("%s is no state to go on from (%s): training starts afresh", path.name, error)
    else:
        _log.info("training goes on after epoch %d, from %s", course.epoch, path.name)


def forget_states(keep: Path) -> None:
    """Remove the states, and what a kill left of them, whose names begin with that of `keep`: their checkpoint is whole."""
    for path in keep.parent.glob(f"{keep.name}.*.resume*"):
        path.unlink(missing_ok=True)


def _networks(course: Course) -> dict[str, Tensor]:
    parts = {"network": course.net.state_dict(), "average": course.average.state_dict(), "best": course.best}
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


def _put_back(course: Course, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    course.net.load_state_dict(part("network."))
    course.average.load_state_dict(part("average."))
    course.best = part("best.")
    course.optimizer.load_state_dict({"state": moments, "param_groups": notes["groups"]})
    course.schedule.load_state_dict(notes["schedule"])
    course.rng.bit_generator.state = notes["numpy"]
    torch.set_rng_state(tensors["generator.cpu"])
    if torch.cuda.is_initialized() and "generator.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["generator.cuda"])
    for name in _NUMBERS:
        setattr(course, name, notes[name])
