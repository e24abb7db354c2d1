"""Every error a user can meet, as one tree.

DaycastError                 one line that names the offending value and the way out
├── ConfigError              daycast.toml, an environment variable or an argument is wrong
├── SourceError              a source cannot be read as configured
├── ContractError            a frame breaks its contract; nothing of it was written
├── WarehouseError           the warehouse is held, damaged, altered or from a newer daycast, or cannot be written
├── StorageError             another file or folder cannot be read or written: no space, no permission, something in its place
├── NotEnoughDataError       there is too little history for what was asked
├── ModelError               a checkpoint is missing, damaged or of another shape
└── WorkerError              workers that blocks of stations were given to are out of reach, or died
"""

from collections.abc import Sequence

from daycast.redact import redact

_TOLD = 3  # of several errors; the rest is counted


class DaycastError(Exception):
    """Base of all expected errors: shown as one line, exit status 1. Its message holds no secret, whoever reads it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))


class ConfigError(DaycastError):
    """The configuration, the environment or an argument is wrong."""


class SourceError(DaycastError):
    """A source cannot be read as configured."""


class ContractError(DaycastError):
    """A frame breaks its contract; nothing of it was written."""


class WarehouseError(DaycastError):
    """The warehouse is held, damaged, altered or from a newer daycast, or cannot be written."""


class StorageError(DaycastError, OSError):
    """Another file or folder cannot be read or written: no space, no permission, something in its place."""


class NotEnoughDataError(DaycastError):
    """There is too little history for what was asked."""


class ModelError(DaycastError):
    """A checkpoint is missing, damaged or of another shape."""


class WorkerError(DaycastError):
    """Workers that blocks of stations were given to are out of reach, or died."""


def join_errors(errors: Sequence[Exception]) -> Exception:
    """One error that tells of all: their number and the first few by their text, so that the order they came in says nothing.

    A single one is returned as it is; several have the class of the first, or DaycastError where that is none of ours.
    """
    if len(errors) == 1:
        return errors[0]
    texts = sorted(map(str, errors))
    told = "; ".join(f"({number}) {text}" for number, text in enumerate(texts[:_TOLD], 1))
    more = f"; and {len(texts) - _TOLD} more" if len(texts) > _TOLD else ""
    kind = type(errors[0]) if isinstance(errors[0], DaycastError) else DaycastError
    return kind(f"{len(texts)} errors: {told}{more}")
