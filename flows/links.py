"""The links of a flow: one that fails does not stop those after it."""

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import ParamSpec, TypeVar

from prefect.exceptions import CancelledRun

from daycast.errors import DaycastError, StepError, describe, join_errors, raise_interrupt

_log = logging.getLogger("daycast")
P = ParamSpec("P")
R = TypeVar("R")


class Links:
    """Carries out links of a flow, and knows which failed of what.

    at_once: whether an expected failure is told when it happens and not only at the end, because what follows takes long.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.errors: list[DaycastError] = []
        self._at_once = at_once

    def attempt(self, link: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R | None:
        """What the link returns; None where it fails, in whatever way, which is noted.

        An unforeseen failure is told at once, and the log has its traceback.
        An interrupt or a cancellation is no failure: it ends the flow.
        """
        try:
            return link(*arguments, **named)
        except (CancelledRun, CancelledError):
            raise
        except DaycastError as error:
            if self._at_once:
                _log.error("%s", describe(error))
            self.errors.append(error)
        except Exception as error:  # noqa: BLE001 - the links after it do not depend on what it was
            raise_interrupt(error)
            failed = StepError(f"{_name(link)} failed: {describe(error)}")
            failed.__cause__ = error
            _log.error("%s", failed, exc_info=error)
            self.errors.append(failed)
        return None

    def raise_failures(self) -> None:
        """Raise what failed, as one error, if anything did."""
        if self.errors:
            raise join_errors(self.errors)


def _name(link: Callable[..., object]) -> str:
    """As a flow, a task or a function is called."""
    named = getattr(link, "name", None) or getattr(link, "__name__", None)
    return str(named or type(link).__name__)
