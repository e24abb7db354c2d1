"""The closest of the names that exist, for the error message about one that does not."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

from daycast.redact import one_line, redact

# Every error a user can meet, as one tree, and how errors are told.
#
# DaycastError                 one line that names the offending value and the way out
# ├── ConfigError              daycast.toml, an environment variable or an argument is wrong
# ├── SourceError              a source cannot be read as configured
# ├── ContractError            a frame breaks its contract; nothing of it was written
# ├── WarehouseError           the warehouse is held, damaged, altered or from a newer daycast, or cannot be written
# ├── StorageError             another file or folder cannot be read or written: no space, no permission, something in its place
# ├── NotEnoughDataError       there is too little history for what was asked
# ├── ModelError               a checkpoint is missing, damaged or of another shape
# ├── WorkerError              workers that blocks of stations were given to are out of reach, or died
# └── StepError                a step of a flow failed in a way that nobody foresaw; its log has the traceback


_TOLD = 3  # of several errors; the rest is counted
_SHORT = 300  # characters of a strange message that are shown
_log = logging.getLogger("daycast")


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


class StepError(DaycastError):
    """A step of a flow failed in a way that nobody foresaw; its log has the traceback."""


def join_errors(errors: Sequence[Exception]) -> Exception:
    """One error that tells of all: their number and the first few by their text, so that the order they came in says nothing.

    A single one, also if it came several times, is returned as it is; several have the class of the first, or DaycastError
    where that is none of ours.
    """
    texts = sorted({str(error) for error in errors})
    if len(texts) == 1:
        return errors[0]
    told = "; ".join(f"({number}) {text}" for number, text in enumerate(texts[:_TOLD], 1))
    more = f"; and {len(texts) - _TOLD} more" if len(texts) > _TOLD else ""
    kind = type(errors[0]) if isinstance(errors[0], DaycastError) else DaycastError
    return kind(f"{len(texts)} errors: {told}{more}")


def describe(error: BaseException) -> str:
    """What went wrong in one line: an expected error in its own words, any other after its kind."""
    said = one_line(str(error))
    if isinstance(error, DaycastError):
        return said
    short = said if len(said) <= _SHORT else said[:_SHORT] + "…"
    return f"{type(error).__name__}: {short}" if short else type(error).__name__


@contextmanager
def tolerated(what: str) -> Iterator[None]:
    """Whatever the block fails of is a warning, "`what`: why", and nothing more. An interrupt goes on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, what came before it is done and stays done
        raise_interrupt(error)
        _log.warning("%s: %s", what, describe(error), exc_info=_trace(error))


def raise_interrupt(error: Exception) -> None:
    """Raise the interrupt that an error was made of, if it was: DuckDB makes a RuntimeError of one."""
    if error.__cause__ is not None and not isinstance(error.__cause__, Exception):
        raise error.__cause__


def _trace(error: Exception) -> Exception | None:
    """The error as logs take it; None where its line says all."""
    return None if isinstance(error, DaycastError) else error


_LONGEST_LIST = 200  # characters; more is no help on one line


def did_you_mean(text: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)` with at most three close choices, ignoring case; empty where none is close."""
    by_folded = {choice.casefold(): choice for choice in choices}
    close = get_close_matches(text.casefold(), by_folded, n=3)
    return f" (did you mean {' or '.join(repr(by_folded[match]) for match in close)}?)" if close else ""


def listed(names: Iterable[str]) -> str:
    """The names on one line, cut with an ellipsis where it would grow long."""
    line = ", ".join(names)
    printable = "".join(character if character.isprintable() else "�" for character in line)
    return printable if len(printable) <= _LONGEST_LIST else printable[:_LONGEST_LIST] + "…"
