"""Every error a user can meet, and how errors become one line of text.

DaycastError                 one line that names the offending value and the way out
├── ConfigError              daycast.toml, an environment variable or an argument is wrong
├── SourceError              a source cannot be read as configured
├── ContractError            a frame breaks its contract; nothing of it was written
├── WarehouseError           the warehouse is locked, damaged, altered or from a newer daycast, or cannot be written
├── StorageError             another file or folder cannot be read or written: no space, no permission, something in its place
├── NotEnoughDataError       there is too little history for what was asked
├── ModelError               a checkpoint is missing, damaged or of another shape
├── WorkerError              the workers that compute blocks of stations cannot be reached, or died
└── StepError                a step of a flow failed unexpectedly; the log has the traceback

Read the classes first, then `describe`, `join_errors` and `tolerated`, which show errors, and last `did_you_mean` and `listed`,
which help to write a message.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Self

from daycast.redact import one_line, redact

_MOST_ERRORS = 3  # of several errors; the rest is counted
_MOST_CHARACTERS = 300  # of the message of an unexpected error
_LONGEST_LIST = 200  # characters; a longer list does not help on one line
_log = logging.getLogger("daycast")


class DaycastError(Exception):
    """Base of all expected errors: shown as one line, exit status 1. Secrets in its message are masked.

    `may_pass` is true if the same may work a moment later, with nothing changed: somebody elsewhere did not answer.
    """

    may_pass = False

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))

    def passing(self, *, may_pass: bool = True) -> Self:
        """Set `may_pass`, and return the error."""
        self.may_pass = may_pass
        return self


class ConfigError(DaycastError):
    """The configuration, the environment or an argument is wrong."""


class SourceError(DaycastError):
    """A source cannot be read as configured.

    `refused` has the reason of each delivery of which nothing, or no more, could be read, by its origin.
    """

    def __init__(self, message: str = "", refused: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.refused: Mapping[str, str] = refused or {}


class ContractError(DaycastError):
    """A frame breaks its contract; nothing of it was written."""


class WarehouseError(DaycastError):
    """The warehouse is locked, damaged, altered or from a newer daycast, or cannot be written."""


class StorageError(DaycastError, OSError):
    """Another file or folder cannot be read or written: no space, no permission, something in its place."""


class NotEnoughDataError(DaycastError):
    """There is too little history for what was asked."""


class ModelError(DaycastError):
    """A checkpoint is missing, damaged or of another shape."""


class WorkerError(DaycastError):
    """The workers that compute blocks of stations cannot be reached, or died."""


class StepError(DaycastError):
    """A step of a flow failed unexpectedly; the log has the traceback."""


def describe(error: BaseException) -> str:
    """The error in one line: an expected error by its message, any other by its class and the beginning of its message."""
    message = one_line(str(error))
    if isinstance(error, DaycastError):
        return message
    short = message if len(message) <= _MOST_CHARACTERS else message[:_MOST_CHARACTERS] + "…"
    return f"{type(error).__name__}: {short}" if short else type(error).__name__


def join_errors(errors: Sequence[Exception]) -> Exception:
    """One error that stands for all: it says how many there are and quotes the first few, sorted by their text.

    If all errors have the same text, the first one is returned unchanged. Otherwise the result has the class of the first
    error, or is a DaycastError if that class is not one of daycast's own. It may pass if one of them may.
    """
    texts = sorted({str(error) for error in errors})
    if len(texts) == 1:
        return errors[0]
    quoted = "; ".join(f"({number}) {text}" for number, text in enumerate(texts[:_MOST_ERRORS], 1))
    more = f"; and {len(texts) - _MOST_ERRORS} more" if len(texts) > _MOST_ERRORS else ""
    kind = type(errors[0]) if isinstance(errors[0], DaycastError) else DaycastError
    may_pass = any(isinstance(error, DaycastError) and error.may_pass for error in errors)
    return kind(f"{len(texts)} errors: {quoted}{more}").passing(may_pass=may_pass)


@contextmanager
def tolerated(what: str) -> Iterator[None]:
    """Turn any failure of the block into a warning that reads "`what`: reason". An interrupt is raised as usual."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a failure here must not undo what was done before
        raise_interrupt(error)
        traceback_of = None if isinstance(error, DaycastError) else error  # the line of an expected error says it all
        _log.warning("%s: %s", what, describe(error), exc_info=traceback_of)


def raise_interrupt(error: Exception) -> None:
    """Raise the interrupt behind `error`, if there is one: DuckDB turns a KeyboardInterrupt into a RuntimeError."""
    if error.__cause__ is not None and not isinstance(error.__cause__, Exception):
        raise error.__cause__


def did_you_mean(text: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)` with up to three choices close to `text`, ignoring case; empty if none is close."""
    by_folded = {choice.casefold(): choice for choice in choices}
    close = get_close_matches(text.casefold(), by_folded, n=3)
    return f" (did you mean {' or '.join(repr(by_folded[match]) for match in close)}?)" if close else ""


def listed(names: Iterable[str]) -> str:
    """The names on one line, separated by commas; a long line ends in an ellipsis, and unprintable characters become �."""
    line = ", ".join(names)
    printable = "".join(character if character.isprintable() else "�" for character in line)
    return printable if len(printable) <= _LONGEST_LIST else printable[:_LONGEST_LIST] + "…"
