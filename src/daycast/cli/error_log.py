"""Errors that nobody has foreseen: one line for the user, and the whole of it in a log."""

import errno
import os
import stat
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from daycast import __version__
from daycast.redact import one_line, redact

LOG = "errors.log"  # in the data folder
_MOST = 1_000_000  # bytes of the log, of which the newest half stays
_MOST_OF_ONE = 50_000  # characters of one error: a recursion has many frames
_MOST_SHOWN = 400  # characters of a message of others
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


def tell_unexpected(error: BaseException, folder: Path | None) -> str:
    """The error in one line: its kind, what it says, the way out where one is known, and where its traceback is.

    The traceback goes to the log of errors in `folder`, else to one in the temporary folder; neither holds a secret.
    """
    said = one_line(str(error))
    line = f"{type(error).__name__}: {said[:_MOST_SHOWN]}" if said else type(error).__name__
    way_out = next((way for sign, way in _WAYS_OUT.items() if sign in said.lower()), "")
    log = _write_log(error, folder)
    where = f"the traceback is in {log}" if log else "its traceback could not be written anywhere"
    return "; ".join(part for part in (line, way_out, where) if part)


def _write_log(error: BaseException, folder: Path | None) -> Path | None:
    """Append the traceback to the first log that can be written; returns which."""
    text = "".join(traceback.format_exception(error))
    if len(text) > _MOST_OF_ONE:
        text = f"{text[: _MOST_OF_ONE // 2]}\n[…]\n{text[-_MOST_OF_ONE // 2 :]}"
    about = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} daycast {__version__}: {' '.join(sys.argv)}"
    entry = redact(f"{about}\n{text}\n").encode(errors="backslashreplace")
    elsewhere = Path(tempfile.gettempdir()) / f"daycast-{os.geteuid()}-{LOG}"
    for path in ([folder / LOG] if folder and folder.is_dir() else []) + [elsewhere]:
        try:
            _append(path, entry)
        except OSError:
            continue
        return path
    return None


def _append(path: Path, entry: bytes) -> None:
    """Append to a file of ours that nobody else reads, whole or not at all; the older half of a long one goes."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(handle, "r+b", buffering=0) as file:  # noqa: PTH123 - a name in a folder of everybody's is not to be trusted
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
            raise OSError(errno.EPERM, "somebody else's file", str(path))
        os.fchmod(handle, 0o600)
        end = file.seek(0, os.SEEK_END)
        if end + len(entry) > _MOST:
            file.seek(-_MOST // 2, os.SEEK_END)
            kept = file.read().partition(b"\n")[2]
            file.seek(0)
            end = file.write(kept)
            file.truncate()
        if file.write(entry) < len(entry):  # the disk is full
            file.truncate(end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
