"""Write files that others read, and explain in one line why a file cannot be read or written.

`atomic_write` comes first: it writes a draft beside the file and moves the draft into place when it is complete. `explained`,
`explain` and `check_room` turn what the operating system says into an error that names the way out.
"""

import errno
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from daycast.errors import DaycastError, StorageError

_DRAFT = re.compile(r"\..+\.(?P<host>[^.]+)\.(?P<pid>\d+)\.[0-9a-f]{8}\.draft")
_ORPHANED_AFTER_S = 86_400.0  # a draft untouched for so long is orphaned, even if its process number is in use again
_own_drafts: set[Path] = set()  # of this process: in a container the process before it may have had the same number

_RUST_ERRNO = re.compile(r"\(os error (\d+)\)")  # polars and safetensors quote the number in their message
_DUCKDB_TEXT = re.compile(r'^[^\n]*": ([^"\n]+)(?:\n|$)')  # …"FILE": the text of strerror
_NUMBERS = {os.strerror(number): number for number in errno.errorcode}
_ALMOST_FULL = 1_000_000  # bytes; SQLite and DuckDB need more to write anything
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WRONG_KIND = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
_NOT_PERMITTED = "cannot be used by user {user}: permission denied; chmod or chown it, or set another `data`"
_NOT_LOCKABLE = "lies on a file system that cannot lock files: set `data` to a folder on a local disk"
_WAYS_OUT = {
    errno.EACCES: _NOT_PERMITTED,
    errno.EPERM: _NOT_PERMITTED,
    errno.EROFS: "lies on a read-only file system: mount it writable, or set another `data`",
    errno.ENOLCK: _NOT_LOCKABLE,
    errno.EOPNOTSUPP: _NOT_LOCKABLE,
    errno.EIO: "cannot be used, its disk answers with an input/output error: check it, and restore what is lost from a backup",
}


def full_disk(folder: Path) -> str:
    """What to do if the disk of the folder is full, which shows as errors of all kinds, also of Prefect's server; else empty."""
    with suppress(OSError):
        if shutil.disk_usage(folder).free < _ALMOST_FULL:
            return f"no space is left in {folder}: make room there"
    return ""


@contextmanager
def atomic_write(path: Path, *, exclusive: bool = False) -> Iterator[Path]:
    """Yield a draft beside `path` to write to; when the block ends, the draft replaces `path`.

    The draft does not exist yet. Its name is unique, so two processes can write at once: the later one wins, or with
    `exclusive` the earlier one. Readers see the old file or the new one, never a part, even after a crash of the machine. If the
    block raises, `path` is unchanged and the draft is removed. Drafts of killed processes in the same folder are removed first.
    Raises StorageError if the disk is full or not writable.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_drafts(path.parent)
        draft = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{uuid4().hex[:8]}.draft")
        _own_drafts.add(draft)
        try:
            yield draft
            _flush(draft)
            _move(draft, path, exclusive=exclusive)
        finally:
            _remove(draft)
            _own_drafts.discard(draft)
        with suppress(OSError):  # not every file system can flush a folder
            _flush(path.parent)


def remove_drafts(folder: Path) -> None:
    """Remove the drafts in `folder` whose writers are dead."""
    for draft in folder.glob(".*.draft"):
        match = _DRAFT.fullmatch(draft.name)
        with suppress(OSError):  # the draft belongs to another user, or its writer has just finished
            if match and _is_orphaned(draft, match["host"], int(match["pid"])):
                _remove(draft)


@contextmanager
def explained(path: Path, kind: type[DaycastError] = StorageError) -> Iterator[None]:
    """Within the block, raise every refusal of the operating system about `path` as an error of class `kind`, in one line."""
    try:
        yield
    except Exception as error:
        if (explanation := explain(error, path)) is None or isinstance(error, kind):
            raise
        raise kind(explanation) from error


def explain(error: BaseException, path: Path) -> str | None:
    """Why `path` could not be read or written, and what to do; None if the operating system is not the reason."""
    if isinstance(error, DaycastError):
        return str(error) if isinstance(error, StorageError) else None
    named = str(_path_of(error) or "")
    place, number = Path(named) if Path(named).is_absolute() else path, errno_of(error)
    if number in _NO_ROOM:
        folder = _nearest_folder(place)
        free = _size(shutil.disk_usage(folder).free)
        return f"{place} cannot be written: {os.strerror(number)}; without it {free} are free in {folder}: make room"
    if number in _WRONG_KIND:
        return _explain_kind(place)
    return None if number not in _WAYS_OUT else f"{place} {_WAYS_OUT[number].format(user=os.geteuid())}"


def errno_of(error: BaseException) -> int | None:
    """The errno behind an error of Python, polars, safetensors or DuckDB; None if there is none."""
    if isinstance(error, OSError):
        return error.errno
    if match := _RUST_ERRNO.search(str(error)):
        return int(match[1])
    match = _DUCKDB_TEXT.match(str(error))
    return _NUMBERS.get(match[1].strip()) if match else None


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raise StorageError if fewer than `needed` bytes are free for `what` in `folder`, which need not exist yet."""
    folder = _nearest_folder(folder)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{what} needs about {_size(needed)} in {folder}, and {_size(free)} are free: make room first"
        )


def _path_of(error: BaseException) -> str | bytes | None:
    """The file that an OSError names; for a failed move, the file that is in the way."""
    if not isinstance(error, OSError):
        return None
    path: str | bytes | None = error.filename2 if error.errno in _WRONG_KIND and error.filename2 else error.filename
    return path


def _explain_kind(place: Path) -> str:
    if place.is_dir():
        return f"{place} is a folder where a file should be: move it away"
    blocking = next((one for one in (place, *place.parents) if one.exists() and not one.is_dir()), place)
    return f"{blocking} is a file where a folder should be: move it away, or set another `data`"


def _nearest_folder(place: Path) -> Path:
    return next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())


def _size(count: float) -> str:
    unit, of = next(((unit, of) for unit, of in (("GB", 1e9), ("MB", 1e6)) if count >= of), ("kB", 1e3))
    return f"{count / of:.1f} {unit}"


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


def _is_orphaned(draft: Path, host: str, pid: int) -> bool:
    if host == _host() and pid == os.getpid():
        return draft not in _own_drafts
    if host == _host() and not _is_alive(pid):
        return True
    return time.time() - draft.stat().st_mtime > _ORPHANED_AFTER_S  # processes of another machine are invisible here


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to another user
        return True
    return True


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) or "here"


def _remove(draft: Path) -> None:
    """Remove the draft, and the write-ahead log that DuckDB puts beside a database."""
    draft.unlink(missing_ok=True)
    draft.with_name(f"{draft.name}.wal").unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until the disk holds what was written."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
