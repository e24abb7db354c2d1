"""Run a command that must not outlive the process that started it.

`python -m daycast.service.reaper COMMAND …` ends the command and all its descendants when standard input closes (the starter
is gone, even if it was killed), on SIGTERM, or when the command itself has ended. Its exit status is that of the command.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

_STOP_S = 10  # the command may take so long to end
_DESCENDANTS_STOP_S = 10  # and its descendants so long after it
_PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> int:
    """Run the command until it ends or standard input closes; returns its exit status."""
    if sys.platform == "linux":  # orphans of the command become children of this process, whatever their session
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # close_fds=False: the command inherits the sockets passed to this process; nothing else is inheritable
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603 - what the supervisor names
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_end, args=[process], daemon=True).start())
    threading.Thread(target=_end_with_input, args=[process], daemon=True).start()
    status = process.wait()
    _kill_descendants()
    return status


def _end_with_input(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would delay the exit of this process
        pass
    _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    time.sleep(_STOP_S)
    process.kill()


def _kill_descendants() -> None:
    """End all descendants: first with SIGTERM, so that a flow run can report that it crashed, then with SIGKILL.

    Repeat until none is left, because the children of a killed process become children of this one.
    """
    _signal_all(_descendants(os.getpid()), signal.SIGTERM)
    deadline = time.monotonic() + _DESCENDANTS_STOP_S
    while _descendants(os.getpid()) and time.monotonic() < deadline:
        _reap()
        time.sleep(0.05)
    while left := _descendants(os.getpid()):
        _signal_all(left, signal.SIGKILL)
        _reap()
        time.sleep(0.05)


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _reap() -> None:
    """Collect the exit statuses of ended children, which would otherwise stay descendants as zombies."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants(pid: int) -> list[int]:
    """The process numbers of children, their children and so on; empty on systems without /proc."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, file.read_text().split()):
                found += [child, *_descendants(child)]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
