"""The entry point of the command line: `daycast COMMAND …`, or `python -m daycast`.

`main` runs one command and turns every error into one line; `build_parser` collects the commands of `daycast.cli`. The rest
prepares streams, signals and logging.
"""

import argparse
import logging
import os
import select
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from io import TextIOWrapper
from pathlib import Path

from daycast.cli.arguments import Arguments, complete
from daycast.cli.error_log import log_unexpected
from daycast.cli.first_steps import add_first_steps
from daycast.cli.guide import add_guide
from daycast.cli.operation import add_operation
from daycast.cli.past_hours import add_past_hours
from daycast.cli.pipeline import add_pipeline
from daycast.cli.results import add_results
from daycast.errors import DaycastError, StepError
from daycast.interrupt import ending_on_signals, tell_interrupted
from daycast.loopback import exempt_loopback
from daycast.redact import one_line


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status, which is 0 only if the work was done. Every error is one line on stderr.

    arguments: the words after `daycast`; None for those of this process. Raises SystemExit as argparse does.
    """
    exempt_loopback(os.environ)
    _open_streams()
    args = argparse.Namespace()
    _set_up_logging(args)
    try:
        parser = build_parser()
        complete(parser)
        parser.parse_args(arguments, args)
        command: Callable[[argparse.Namespace], None] = args.command
        with nullcontext() if args.ends_by_itself else ending_on_signals():
            command(args)
            sys.stdout.flush()
    except KeyboardInterrupt as error:
        return tell_interrupted(error)
    except StepError as error:  # behind it is an unexpected error
        return _fail(log_unexpected(error, _data_folder(args)))
    except DaycastError as error:
        return _fail(str(error))
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the one place for unexpected errors, including panics of polars
        return _fail("" if _has_no_reader(error) else log_unexpected(error, _data_folder(args)))
    finally:
        _flush_or_discard()
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    arguments = Arguments()
    for add in (add_first_steps, add_results, add_pipeline, add_past_hours, add_operation, add_guide):
        add(arguments)
    return arguments.parser


def _fail(line: str) -> int:
    if line:
        _print_error(f"daycast: {one_line(line)}")
    return 1


def _print_error(line: str) -> None:
    with suppress(OSError):  # nobody reads stderr
        print(line, file=sys.stderr, flush=True)


def _has_no_reader(error: BaseException) -> bool:
    """Whether the program that reads standard output has closed it, as `head` and `less` do."""
    if not isinstance(error, BrokenPipeError):
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _open_streams() -> None:
    """Replace streams that the shell closed, and escape characters that standard output cannot encode."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - open until the process ends
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - without it, print would use stdout
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _flush_or_discard() -> None:
    """Flush standard output. If that fails, discard the rest, so that the interpreter does not try again at exit and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _data_folder(args: argparse.Namespace) -> Path | None:
    """The data folder; None if the settings cannot be read."""
    from daycast.settings import load_settings  # noqa: PLC0415 - only needed after an error

    try:
        return load_settings(getattr(args, "config", None)).data
    except Exception:  # noqa: BLE001 - another error is being reported
        return None


class _OneLine(logging.Formatter):
    """Formats a record without its traceback, which only the log file gets."""

    def format(self, record: logging.LogRecord) -> str:
        """The time and the message."""
        return super().format(logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None}))


class _Stderr(logging.Handler):
    """Writes to the present sys.stderr: a progress bar replaces it, so that lines appear above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record on one line."""
        _print_error(self.format(record))


def _set_up_logging(args: argparse.Namespace) -> None:
    """Send daycast's own log to stderr, and no other; errors of threads and finalizers go to the error log."""
    handler = _Stderr()
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log = logging.getLogger("daycast")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    logging.getLogger().addHandler(logging.NullHandler())
    for worker in (
        "EventsWorker",
        "APILogWorker",
    ):  # threads of Prefect that complain at exit that they are not finished
        logging.getLogger(worker).setLevel(logging.CRITICAL)

    def log_uncaught(uncaught: "threading.ExceptHookArgs | sys.UnraisableHookArgs") -> None:
        if uncaught.exc_value is not None and not isinstance(uncaught.exc_value, SystemExit):
            log_unexpected(uncaught.exc_value, _data_folder(args))

    threading.excepthook, sys.unraisablehook = log_uncaught, log_uncaught


if __name__ == "__main__":
    sys.exit(main())
