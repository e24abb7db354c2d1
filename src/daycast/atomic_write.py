"""One way to write a file that others read: beside its place, and moved there when it is whole."""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from daycast.storage import explained

_DRAFT = re.compile(r"\..+\.(?P<host>[^.]+)\.(?P<pid>\d+)\.[0-9a-f]{8}\.draft")
_LEFT_AFTER_S = 86_400.0  # not written to for so long, a draft is left behind, whoever may have its number now
_in_work: set[Path] = set()  # drafts of this process: in a container the one before it had the same number


@contextmanager
def atomic_write(path: Path, *, exclusive: bool = False) -> Iterator[Path]:
    """Yield a draft beside `path` to write to; when the block ends, the draft takes the place of `path`.

    The draft does not exist yet, and its name is this call's own, so that two processes can write at once: the later one
    wins, or with `exclusive` the earlier one. Readers see the old file or the new one, whole, and a crash of the machine leaves
    one of them. If the block raises, `path` stays as it was and the draft is removed. Drafts that killed processes left in the
    folder are removed first. Raises StorageError where the disk is full or may not be written.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_drafts(path.parent)
        draft = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{uuid4().hex[:8]}.draft")
        _in_work.add(draft)
        try:
            yield draft
            _flush(draft)
            _move(draft, path, exclusive=exclusive)
        finally:
            _remove(draft)
            _in_work.discard(draft)
        with suppress(OSError):  # not every file system can flush a folder
            _flush(path.parent)


def remove_drafts(folder: Path) -> None:
    """Remove the drafts in a folder whose writers are dead."""
    for draft in folder.glob(".*.draft"):
        match = _DRAFT.fullmatch(draft.name)
        with suppress(OSError):  # somebody else's, or its writer has just finished
            if match and _is_left_behind(draft, match["host"], int(match["pid"])):
                _remove(draft)


def _move(draft: Path, path: Path, *, exclusive: bool) -> None:
    if exclusive:
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return
        except OSError:  # a file system without links
            pass
        else:
            return
    draft.replace(path)


def _is_left_behind(draft: Path, host: str, pid: int) -> bool:
    if host == _host() and pid == os.getpid():
        return draft not in _in_work
    if host == _host() and not _is_alive(pid):
        return True
    return time.time() - draft.stat().st_mtime > _LEFT_AFTER_S  # of another machine nobody here can see the processes


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
