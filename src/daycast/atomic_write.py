"""One way to write a file that others read: beside its place, and moved there when it is whole."""

import glob
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

_FOREIGN_DAYS = (
    1.0  # after which a draft of another machine, whose processes nobody here can see, counts as left behind
)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a draft beside `path` to write to; when the block ends, the draft takes the place of `path`.

    The draft does not exist yet, and its name is this call's own, so that two processes can write at once: the later one
    wins. Readers see the old file or the new one, whole, and a crash of the machine leaves one of them. If the block raises,
    `path` stays as it was and the draft is removed. Drafts that killed processes left beside `path` are removed first.
    Raises OSError, for example where the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_drafts(path)
    draft = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{uuid4().hex[:8]}.draft")
    try:
        yield draft
        _flush(draft)
        draft.replace(path)
    finally:
        _remove(draft)
    with suppress(OSError):  # not every file system can flush a folder
        _flush(path.parent)


def remove_drafts(path: Path) -> None:
    """Remove the drafts of `path` whose writers are dead."""
    name = re.compile(rf"\.{re.escape(path.name)}\.(?P<host>[^.]+)\.(?P<pid>\d+)\.[0-9a-f]{{8}}\.draft")
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.draft"):
        match = name.fullmatch(draft.name)
        if match and _is_left_behind(draft, match["host"], int(match["pid"])):
            _remove(draft)


def _is_left_behind(draft: Path, host: str, pid: int) -> bool:
    if host == _host():
        return not _is_alive(pid)
    try:
        return time.time() - draft.stat().st_mtime > _FOREIGN_DAYS * 86_400
    except FileNotFoundError:  # its writer has just finished
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) or "here"


def _remove(draft: Path) -> None:
    """With the write-ahead log that DuckDB puts beside a database."""
    draft.unlink(missing_ok=True)
    draft.with_name(f"{draft.name}.wal").unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have the disk hold what was written."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
