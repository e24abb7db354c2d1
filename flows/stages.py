"""The stages of a flow: if one fails, those after it still run, and the flow raises all errors at its end."""

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import ParamSpec, TypeVar

from prefect.exceptions import CancelledRun

from daycast.errors import DaycastError, StepError, describe, join_errors, raise_interrupt

_log = logging.getLogger("daycast")
P = ParamSpec("P")
R = TypeVar("R")


class Stages:
    """Runs the stages of a flow, and collects the errors of those that failed in `errors`.

    log_at_once: log an expected error when it happens and not only at the end, because the stages after it take long.
    """

    def __init__(self, *, log_at_once: bool = False) -> None:
        self.errors: list[DaycastError] = []
        self._log_at_once = log_at_once

    def run(self, stage: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R | None:
        """The result of `stage(*arguments, **named)`; None if it fails, whatever the error, which is added to `errors`.

        An unexpected error becomes a StepError and is logged at once with its traceback. An interrupt or a cancellation is not
        a failure: it is raised and ends the flow.
        """
        try:
            return stage(*arguments, **named)
        except (CancelledRun, CancelledError):
            raise
        except DaycastError as error:
            if self._log_at_once:
                _log.error("%s", describe(error))
            self.errors.append(error)
        except Exception as error:  # noqa: BLE001 - the other stages run whatever the error is
            raise_interrupt(error)
            failed = StepError(f"{_name(stage)} failed: {describe(error)}")
            failed.__cause__ = error
            _log.error("%s", failed, exc_info=error)
            self.errors.append(failed)
        return None

    def raise_errors(self) -> None:
        """Raise the collected errors as one, if there are any."""
        if self.errors:
            raise join_errors(self.errors)


def _name(stage: Callable[..., object]) -> str:
    """The name of a flow, a task or a function."""
    name = getattr(stage, "name", None) or getattr(stage, "__name__", None)
    return str(name or type(stage).__name__)
