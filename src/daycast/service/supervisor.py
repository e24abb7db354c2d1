"""One supervisor per data folder, and the processes it keeps running.

First the supervisor itself: a lock that a killed process cannot leave behind, a state file that says where the server is, and
`stop`, which ends it. Then the processes: `start_reaped` starts one that cannot outlive the supervisor, and `Service` restarts
one when it ends, after a growing wait.
"""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daycast.errors import ConfigError
from daycast.files import atomic_write, explained
from daycast.service.access import entry_address, keep_auth, make_private

_SUPERVISOR_STOP_S = 90
_SERVICE_STOP_S = 30.0
_LONGEST_WAIT_S = 60.0  # before a process that ended is started again


@contextmanager
def supervisor_lock(home: Path) -> Iterator[Path]:
    """Be the only supervisor with its state in `home`; yields the path of the state file, which is removed at the end.

    Raises ConfigError if another supervisor runs there.
    """
    with explained(home):
        make_private(home)
        lock = (home / "up.lock").open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"daycast is up already ({_describe(home)}): stop it with `daycast down`") from None
        state = home / "up.json"
        try:
            yield state
        finally:
            state.unlink(missing_ok=True)


def write_state(state: Path, url: str, *, ready: bool) -> None:
    """Write the state file: this process, the address of its server, and whether everything is up."""
    with atomic_write(state) as draft:
        draft.write_text(json.dumps({"pid": os.getpid(), "url": url, "ready": ready}))


def read_state(home: Path) -> dict[str, Any] | None:
    """The state of the running supervisor (pid, url, ready), empty while it starts; None if none runs."""
    try:
        with (home / "up.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_last_state(home)
    except FileNotFoundError:
        pass
    return None


def read_last_state(home: Path) -> dict[str, Any]:
    """The newest state file, whose supervisor may be gone; empty if there is none, as while a supervisor starts."""
    try:
        state: dict[str, Any] = json.loads((home / "up.json").read_text())
    except FileNotFoundError:
        return {}
    return state


def stop(home: Path) -> bool:
    """End the supervisor and everything it started, and wait until its process is gone; returns False if none runs.

    Raises ConfigError if it has only just started, or does not end in time.
    """
    state = read_state(home)
    if state is None:
        return False
    if "pid" not in state:
        raise ConfigError("daycast is only just starting: try again in a moment")
    deadline = time.monotonic() + _SUPERVISOR_STOP_S
    with _exit_of(state["pid"]) as exited:
        os.kill(state["pid"], signal.SIGTERM)
        while read_state(home) is not None or not exited():
            if time.monotonic() > deadline:
                raise ConfigError(f"the supervisor {state['pid']} does not end: see the logs in {home}")
            time.sleep(0.1)
    return True


@contextmanager
def _exit_of(pid: int) -> Iterator[Callable[[], bool]]:
    """Yields what says whether this process has exited, waited for by its parent or not; where nothing tells, it has."""
    try:
        process = os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or an old one: the lock that it gives back at its end has to do
        yield lambda: True
        return
    try:
        yield lambda: bool(select.select([process], [], [], 0)[0])
    finally:
        os.close(process)


def start_reaped(
    command: Sequence[str], environment: Mapping[str, str], log: Path, sockets: Sequence[socket.socket] = ()
) -> subprocess.Popen[bytes]:
    """Start a command under the reaper, so that it ends when this process ends, however that happens.

    Its output is appended to `log`, and it inherits `sockets`. It works in the folder of the log: Python looks for modules in
    the working folder, and files of the user there could replace them.
    """
    with log.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "daycast.service.reaper", *command],
            env=environment,
            cwd=log.parent,
            stdin=subprocess.PIPE,  # never written to: the reaper ends the command when the pipe closes
            stdout=sink,
            stderr=sink,
            pass_fds=[each.fileno() for each in sockets],
            start_new_session=True,  # Ctrl-C reaches only the supervisor, which stops the others in order
        )


class Service:
    """A command that should always run."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        home: Path,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self.name, self.log = name, home / f"{name}.log"
        self._command, self._environment, self._sockets = command, environment, sockets
        self._wait_s, self._due = 1.0, 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start the command, and remember when."""
        self.process = start_reaped(self._command, self._environment, self.log, self._sockets)
        self._started = time.monotonic()

    def restart_if_ended(self) -> bool:
        """Start the command again if it ended and its wait is over; returns whether it was started.

        The wait doubles from one second up to a minute. After a run of more than a minute it is one second again.
        """
        if self.process is not None:
            if self.process.poll() is None:
                return False
            ran_s = time.monotonic() - self._started
            self._wait_s = 1.0 if ran_s > _LONGEST_WAIT_S else min(2 * self._wait_s, _LONGEST_WAIT_S)
            self.process, self._due = None, time.monotonic() + self._wait_s
        if time.monotonic() < self._due:
            return False
        self.start()
        return True

    def stop(self) -> None:
        """Ask the command to end and wait until it has; kill it if it takes too long."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_SERVICE_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def find_entry(home: Path) -> str | None:
    """The address that signs a browser in to the server that is up; None if none is."""
    state = read_state(home)
    return entry_address(state["url"], keep_auth(home)) if state else None


def _describe(home: Path) -> str:
    state = read_state(home) or {}
    if not state:
        return "just starting"
    return f"process {state['pid']}, {state['url'].removesuffix('/api')}"
