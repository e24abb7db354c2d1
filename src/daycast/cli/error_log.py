"""Unexpected errors: one line for the user, and the traceback in a log file."""

import errno
import os
import stat
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from daycast import __version__
from daycast.files import full_disk
from daycast.redact import one_line, redact

LOG = "errors.log"  # in the data folder
_LARGEST_LOG = 1_000_000  # bytes; a larger log keeps its newer half
_LONGEST_ENTRY = 50_000  # characters; the traceback of a recursion has many frames
_LONGEST_LINE = 400  # characters of the message in the user's line
_WAYS_OUT = {
    "no space left": "make room there",
    "disk quota exceeded": "make room there",
    "read-only file system": "name a folder that can be written, for example with DAYCAST_DATA",
    "permission denied": "give this user the right to it, or name another folder with DAYCAST_DATA",
    "not a directory": "name a folder, for example with DAYCAST_DATA",
    "too many open files": "raise the limit of open files (`ulimit -n`)",
    "cannot allocate memory": "give daycast more memory",
    "out of memory": "give daycast more memory",
}


def log_unexpected(error: BaseException, folder: Path | None) -> str:
    """The error in one line: its class, its message, the way out if one is known, and the file with its traceback.

    Writes the traceback, with secrets masked, to the error log in `folder`, or to one in the temporary folder.
    """
    message = one_line(str(error))
    line = f"{type(error).__name__}: {message[:_LONGEST_LINE]}" if message else type(error).__name__
    way_out = next((way for sign, way in _WAYS_OUT.items() if sign in message.lower()), "")
    way_out = way_out or (full_disk(folder) if folder else "")
    log = _write_log(error, folder)
    where = f"the traceback is in {log}" if log else "its traceback could not be written anywhere"
    return "; ".join(part for part in (line, way_out, where) if part)


def _write_log(error: BaseException, folder: Path | None) -> Path | None:
    """Append the traceback to the first log that can be written; returns its path."""
    text = "".join(traceback.format_exception(error))
    if len(text) > _LONGEST_ENTRY:
        text = f"{text[: _LONGEST_ENTRY // 2]}\n[…]\n{text[-_LONGEST_ENTRY // 2 :]}"
    heading = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} daycast {__version__}: {' '.join(sys.argv)}"
    entry = redact(f"{heading}\n{text}\n").encode(errors="backslashreplace")
    elsewhere = Path(tempfile.gettempdir()) / f"daycast-{os.geteuid()}-{LOG}"
    for path in ([folder / LOG] if folder and folder.is_dir() else []) + [elsewhere]:
        try:
            _append(path, entry)
        except OSError:
            continue
        return path
    return None


def _append(path: Path, entry: bytes) -> None:
    """Append the whole entry or nothing to a private file of this user; a file that grows too large loses its older half."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(handle, "r+b", buffering=0) as file:  # noqa: PTH123 - by handle: others can replace a name in the temporary folder
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise OSError(errno.EPERM, "the file belongs to another user", str(path))
        os.fchmod(handle, 0o600)
        end = file.seek(0, os.SEEK_END)
        if end + len(entry) > _LARGEST_LOG:
            file.seek(-_LARGEST_LOG // 2, os.SEEK_END)
            kept = file.read().partition(b"\n")[2]
            file.seek(0)
            end = file.write(kept)
            file.truncate()
        if file.write(entry) < len(entry):  # the disk is full
            file.truncate(end)
            if not end:
                path.unlink()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
