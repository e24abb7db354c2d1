"""Who keeps daycast running here: a lock that cannot be left behind, and a file that says where to find it."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daycast.atomic_write import atomic_write
from daycast.errors import ConfigError
from daycast.live.access import entry_address, keep_auth, make_private
from daycast.storage import explained

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
