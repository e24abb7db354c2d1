"""The command line: `daycast COMMAND …`, or `python -m daycast`."""

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
from daycast.cli.chain import add_chain
from daycast.cli.error_log import tell_unexpected
from daycast.cli.guide import add_guide
from daycast.cli.history import add_history
from daycast.cli.service import add_service
from daycast.cli.start import add_init, add_sql
from daycast.errors import DaycastError, StepError
from daycast.interrupt import ending_on_signals, tell_interrupted
from daycast.loopback import exempt_loopback
from daycast.redact import one_line


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 only when the work was done. Whatever goes wrong is one line on stderr."""
    exempt_loopback(os.environ)
    _open_streams()
    args = argparse.Namespace()
    _speak(args)
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
    except StepError as error:  # what is behind it nobody has foreseen either
        return _fail(tell_unexpected(error, _data_folder(args)))
    except DaycastError as error:
        return _fail(str(error))
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the one place for all that nobody has foreseen, polars' panics too
        return _fail("" if _has_no_reader(error) else tell_unexpected(error, _data_folder(args)))
    finally:
        _flush_or_discard()
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands, in the order of `daycast --help`."""
    arguments = Arguments()
    for add in (add_init, add_chain, add_history, add_service, add_sql, add_guide):
        add(arguments)
    return arguments.parser


def _fail(line: str) -> int:
    if line:
        _print_error(f"daycast: {one_line(line)}")
    return 1


def _print_error(line: str) -> None:
    with suppress(OSError):  # nobody reads it
        print(line, file=sys.stderr, flush=True)


def _has_no_reader(error: BaseException) -> bool:
    """Whether whoever read our output has seen enough, as head and less have."""
    if not isinstance(error, BrokenPipeError):
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _open_streams() -> None:
    """Have somewhere to write, where the shell closed it, and escape what a terminal has no character for."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - for as long as we live
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - else print would turn to stdout
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _flush_or_discard() -> None:
    """Write what is left; where that is impossible, keep the interpreter from trying, and complaining, at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _data_folder(args: argparse.Namespace) -> Path | None:
    """The data folder, where the settings are not what is wrong."""
    from daycast.settings import load_settings  # noqa: PLC0415 - only where something went wrong

    try:
        return load_settings(getattr(args, "config", None)).data
    except Exception:  # noqa: BLE001 - this is no time for another error
        return None


class _OneLine(logging.Formatter):
    """Leaves tracebacks to logs that are files."""

    def format(self, record: logging.LogRecord) -> str:
        """The time and the message."""
        return super().format(logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None}))


class _Stderr(logging.Handler):
    """Writes to what sys.stderr is at the time: a progress bar takes its place, and has lines appear above it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record as a line."""
        _print_error(self.format(record))


def _speak(args: argparse.Namespace) -> None:
    """Send daycast's own log to stderr, and nobody else's: what threads and finalizers die of goes to the log of errors."""
    handler = _Stderr()
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log = logging.getLogger("daycast")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    logging.getLogger().addHandler(logging.NullHandler())
    for worker in ("EventsWorker", "APILogWorker"):  # Prefect's, which say at exit that they are not done yet
        logging.getLogger(worker).setLevel(logging.CRITICAL)

    def note(ended: "threading.ExceptHookArgs | sys.UnraisableHookArgs") -> None:
        if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
            tell_unexpected(ended.exc_value, _data_folder(args))

    threading.excepthook, sys.unraisablehook = note, note


if __name__ == "__main__":
    sys.exit(main())
