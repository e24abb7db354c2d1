"""Start `daycast up` in the background, and return once all is up."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from daycast.errors import ConfigError
from daycast.live.access import entry_address, keep_auth, make_private
from daycast.live.state import read_note

_PATIENCE_S = 300
_LOOK_EVERY_S = 0.1


def up_detached(arguments: Sequence[str], home: Path) -> str:
    """Run `daycast up` with these arguments in a session of its own; returns its server's address and where it says what it does.

    Raises ConfigError with its last words where it ends instead; an interrupt, or too long a wait, ends it.
    """
    make_private(home)
    log = home / "up.log"
    with log.open("ab") as sink:
        told = sink.tell()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", "-m", "daycast", "up", *arguments],  # not from a daycast.py of the user
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        url = _wait(process, home)
    except BaseException:
        process.terminate()
        raise
    if url is None:
        words = log.read_bytes()[told:].decode(errors="replace").strip().splitlines() or [f"it ended: see {log}"]
        raise ConfigError(words[-1].removeprefix("daycast: "))
    return f"up: open {entry_address(url, keep_auth(home))}\n`daycast down` stops it; what it says goes to {log}"


def _wait(process: subprocess.Popen[bytes], home: Path) -> str | None:
    """The server's address once all is up; None where the process ended."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        note = read_note(home)  # not read_state, whose look at the lock could come in between
        if note.get("pid") == process.pid and note["ready"]:
            return str(note["url"])
        if process.poll() is not None:
            return None
        time.sleep(_LOOK_EVERY_S)
    raise ConfigError(f"daycast is not up after {_PATIENCE_S} s: see the logs in {home}")
