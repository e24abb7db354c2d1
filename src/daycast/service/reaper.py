"""Run one command that must not outlive whoever started it.

`python -m daycast.service.reaper COMMAND …` ends the command, and everything the command started, when its standard input
ends (the starter is gone, however it went), on SIGTERM, or when the command itself has ended. Its exit status is the command's.
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

_PATIENCE_S = 10  # for the command to end
_LAST_WORDS_S = 10  # for what it leaves behind
_PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> int:
    """Run the command to its end, or to that of standard input."""
    if sys.platform == "linux":  # what the command leaves behind becomes ours, in whichever session it is
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # close_fds=False: it inherits the sockets that were handed to us, and nothing else can be inherited
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603 - what the supervisor names
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_end, args=[process], daemon=True).start())
    threading.Thread(target=_end_with_input, args=[process], daemon=True).start()
    status = process.wait()
    _kill_descendants()
    return status


def _end_with_input(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock would hold up our own end
        pass
    _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    time.sleep(_PATIENCE_S)
    process.kill()


def _kill_descendants() -> None:
    """End what is left: politely, so that a flow run can say it crashed, then by force.

    Again and again, because the orphans of the killed become ours.
    """
    _signal_all(_descendants(os.getpid()), signal.SIGTERM)
    deadline = time.monotonic() + _LAST_WORDS_S
    while _descendants(os.getpid()) and time.monotonic() < deadline:
        _bury()
        time.sleep(0.05)
    while left := _descendants(os.getpid()):
        _signal_all(left, signal.SIGKILL)
        _bury()
        time.sleep(0.05)


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _bury() -> None:
    """Let go of the dead, which else count as descendants."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants(pid: int) -> list[int]:
    """Children, and theirs; empty where the system does not show them."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, file.read_text().split()):
                found += [child, *_descendants(child)]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
