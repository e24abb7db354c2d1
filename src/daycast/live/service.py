"""One process that is kept running: started under a guard, and started again, ever more patiently, when it ends."""

import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_LONGEST_WAIT_S = 60.0
_STOP_S = 30.0


def start_guarded(
    command: Sequence[str], environment: Mapping[str, str], log: Path, sockets: Sequence[socket.socket] = ()
) -> subprocess.Popen[bytes]:
    """Start a command that ends with us, however we end; what it says goes to the end of `log`, and it inherits the sockets.

    It works in the folder of its log: Python looks for modules there, and files of the user would be taken for them.
    """
    with log.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "daycast.live.guard", *command],
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
        self.process = start_guarded(self._command, self._environment, self.log, self._sockets)
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
