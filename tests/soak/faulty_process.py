"""The command line, forked as by the tests of the chain, under circumstances that nobody wishes for."""

import ctypes
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from daycast.__main__ import main
from daycast.settings import load as present
from integration.chain.conftest import Daycast

_SHORTEST_S = 0.1  # before a signal: an interpreter takes longer to start
_LONGEST_S = 900  # of a command, on a slow machine
_PROMPT_S = 90  # from SIGTERM or SIGINT to the end, on a slow machine
_CAPABILITIES_VERSION = 0x20080522  # of Linux, with two sets of 32
_IGNORE_PERMISSIONS = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@dataclass(frozen=True)
class TrainContext:
    """What surrounds a command."""

    clock: datetime  # of the machine
    environment: Mapping[str, str] = field(default_factory=dict)
    largest_file: int | None = None  # bytes, beyond which nothing can be written: the disk is full
    stdout: str = "file"  # or "full", a device without room; or "closed", a pipe that nobody reads
    signal: int | None = None
    signal_after_s: float = 0.0


@dataclass(frozen=True)
class Finished:
    """A command that ended: its exit status as a shell shows it, and what it said."""

    arguments: Sequence[str]
    status: int
    stdout: str
    stderr: str
    took_s: float
    signalled: bool = False
    ended_after_s: float = 0.0  # after the signal
    hung: bool = False

    @property
    def was_slow_to_end(self) -> bool:
        """Whether it went on after the signal."""
        return self.ended_after_s > _PROMPT_S


class Running:
    """A command at work."""

    def __init__(self, daycast: Daycast, folder: Path, arguments: Sequence[str], around: TrainContext) -> None:
        number = next(daycast._numbers)
        self._paths = [daycast._outputs / f"{number}.{name}" for name in ("stdout", "stderr", "ready")]
        self.arguments, self.around = arguments, around
        self.process = daycast._forks.Process(target=_execute, args=(folder, arguments, *self._paths, around))
        self._started = time.monotonic()
        self.process.start()

    def wait(self) -> Finished:
        """Send the signal that is due, and return once it ended."""
        signalled, since = self._signal(), time.monotonic()
        self.process.join(_LONGEST_S)
        took = time.monotonic() - since
        hung = self.process.exitcode is None
        if hung:
            self.process.kill()
            self.process.join()
        said = [path.read_text(errors="replace") if path.exists() else "" for path in self._paths[:2]]
        code = self.process.exitcode
        status = 128 - code if code < 0 else code
        return Finished(
            self.arguments, status, *said, time.monotonic() - self._started, signalled, took if signalled else 0.0, hung
        )

    def _signal(self) -> bool:
        if self.around.signal is None:
            return False
        while self.process.is_alive() and not self._paths[2].exists():
            time.sleep(0.01)
        self.process.join(_SHORTEST_S + self.around.signal_after_s)
        if self.process.exitcode is not None:
            return False
        try:
            os.kill(self.process.pid, self.around.signal)
        except ProcessLookupError:  # it has just ended
            return False
        return True


def _execute(
    folder: Path, arguments: Sequence[str], stdout: Path, stderr: Path, ready: Path, around: TrainContext
) -> None:
    """Be `daycast …`."""
    os.chdir(folder)
    os.environ.update(around.environment)
    sys.argv = ["daycast", *arguments]
    for stream, number in ((sys.stdout, _open_stdout(stdout, around.stdout)), (sys.stderr, _create(stderr))):
        os.dup2(number, stream.fileno())
    _set_clock(around.clock)
    _obey_permissions()
    ready.touch()
    if around.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (around.largest_file, resource.RLIM_INFINITY))
    status = main(list(arguments))
    for number in (signal.SIGINT, signal.SIGTERM):  # what comes now finds no command
        signal.signal(number, signal.SIG_IGN)
    sys.exit(status)


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def _open_stdout(path: Path, kind: str) -> int:
    if kind == "full":
        return os.open("/dev/full", os.O_WRONLY)
    if kind == "closed":
        reader, writer = os.pipe()
        os.close(reader)
        return writer
    return _create(path)


def _set_clock(moment: datetime) -> None:
    """Have the machine's clock stand at `moment` as daycast reads it, in one place."""
    started = time.monotonic()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return (moment + timedelta(seconds=time.monotonic() - started)).astimezone(tz)

    present.datetime = Clock


def _obey_permissions() -> None:
    """Have permissions hold for root too, as they do for any user."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = struct.pack("Ii", _CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets) == 0:
        for index in (0, 1):  # effective, permitted
            sets[index] &= ~_IGNORE_PERMISSIONS
        libc.capset(header, sets)
