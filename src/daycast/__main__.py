"""The command line: `daycast COMMAND …`, or `python -m daycast`."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext

from daycast.commands.arguments import Arguments, complete
from daycast.commands.chain import add_chain
from daycast.commands.first import add_init, add_sql
from daycast.commands.past import add_past
from daycast.commands.service import add_service
from daycast.errors import DaycastError
from daycast.interrupt import ending_on_signals, tell_interrupted


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 only when the work was done."""
    parser = build_parser()
    complete(parser)
    args = parser.parse_args(arguments)
    _speak()
    try:
        command: Callable[[argparse.Namespace], None] = args.command
        with nullcontext() if args.ends_by_itself else ending_on_signals():
            command(args)
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has seen enough, as head and less have
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be flushed at exit goes there
        return 1
    except DaycastError as error:
        print(f"daycast: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        return tell_interrupted(error)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands, in the order of `daycast --help`."""
    arguments = Arguments()
    for add in (add_init, add_chain, add_past, add_service, add_sql):
        add(arguments)
    return arguments.parser


class _OneLine(logging.Formatter):
    """Leaves tracebacks to logs that are files."""

    def format(self, record: logging.LogRecord) -> str:
        """The time and the message."""
        return super().format(logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None}))


class _Stderr(logging.Handler):
    """Writes to what sys.stderr is at the time: a progress bar takes its place, and has lines appear above it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record as a line."""
        print(self.format(record), file=sys.stderr, flush=True)


def _speak() -> None:
    """Send daycast's own log to stderr, and nobody else's."""
    handler = _Stderr()
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log = logging.getLogger("daycast")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    logging.getLogger().addHandler(logging.NullHandler())
    for worker in ("EventsWorker", "APILogWorker"):  # Prefect's, which say at exit that they are not done yet
        logging.getLogger(worker).setLevel(logging.CRITICAL)


if __name__ == "__main__":
    sys.exit(main())
