"""One process that is kept running: started under a guard, and started again, ever more patiently, when it ends."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daycast.errors import ConfigError
from daycast.files import atomic_write, explained
from daycast.service.access import entry_address, keep_auth, make_private

# Who keeps daycast running here: a lock that cannot be left behind, and a file that says where to find it.


_PATIENCE_S = 90


@contextmanager
def holding(home: Path) -> Iterator[Path]:
    """Be the only supervisor with its state in `home`; gives the state file, which is gone afterwards.

    Raises ConfigError where another one is.
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
    """Note that this process is the supervisor, its server's address, and whether all is up."""
    with atomic_write(state) as draft:
        draft.write_text(json.dumps({"pid": os.getpid(), "url": url, "ready": ready}))


def read_state(home: Path) -> dict[str, Any] | None:
    """What the supervisor noted; None where none runs."""
    try:
        with (home / "up.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_note(home)
    except FileNotFoundError:
        pass
    return None


def read_note(home: Path) -> dict[str, Any]:
    """The last note of a supervisor, which may be gone; empty where there is none, because it is only just starting."""
    try:
        note: dict[str, Any] = json.loads((home / "up.json").read_text())
    except FileNotFoundError:
        return {}
    return note


def stop(home: Path) -> bool:
    """End the supervisor and all it started; returns False where none was running."""
    state = read_state(home)
    if state is None:
        return False
    if "pid" not in state:
        raise ConfigError("daycast is only just starting: try again in a moment")
    os.kill(state["pid"], signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE_S
    while read_state(home) is not None:
        if time.monotonic() > deadline:
            raise ConfigError(f"the supervisor {state['pid']} does not end: see the logs in {home}")
        time.sleep(0.1)
    return True


def _describe(home: Path) -> str:
    state = read_state(home) or {}
    if not state:
        return "just starting"
    return f"process {state['pid']}, {entry_address(state['url'], keep_auth(home))}"


_LONGEST_WAIT_S = 60.0
_STOP_S = 30.0


def start_reaped(
    command: Sequence[str], environment: Mapping[str, str], log: Path, sockets: Sequence[socket.socket] = ()
) -> subprocess.Popen[bytes]:
    """Start a command that ends with us, however we end; what it says goes to the end of `log`, and it inherits the sockets.

    It works in the folder of its log: Python looks for modules there, and files of the user would be taken for them.
    """
    with log.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "daycast.service.reaper", *command],
            env=environment,
            cwd=log.parent,
            stdin=subprocess.PIPE,  # never written to: its end is the signal
            stdout=sink,
            stderr=sink,
            pass_fds=[each.fileno() for each in sockets],
            start_new_session=True,  # an interrupt is for the supervisor, which stops the others in order
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
        """Start it, and remember when."""
        self.process = start_reaped(self._command, self._environment, self.log, self._sockets)
        self._started = time.monotonic()

    def revive(self) -> bool:
        """Start it again if it ended and its time has come; returns whether that was done.

        The wait doubles from one second to a minute, and is one second again for a process that ran for a minute.
        """
        if self.process is not None:
            if self.process.poll() is None:
                return False
            lived = time.monotonic() - self._started
            self._wait_s = 1.0 if lived > _LONGEST_WAIT_S else min(2 * self._wait_s, _LONGEST_WAIT_S)
            self.process, self._due = None, time.monotonic() + self._wait_s
        if time.monotonic() < self._due:
            return False
        self.start()
        return True

    def stop(self) -> None:
        """Ask it to end, and return once it has; kill it where it takes too long."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
