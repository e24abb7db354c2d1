"""What stands in the way where a file cannot be read or written, in one line that names the way out."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daycast.errors import DaycastError, StorageError

_OF_RUST = re.compile(r"\(os error (\d+)\)")  # polars and safetensors pass the number on, in their message
_OF_DUCKDB = re.compile(r'^[^\n]*": ([^"\n]+)(?:\n|$)')  # …"FILE": what strerror says
_NUMBERS = {os.strerror(number): number for number in errno.errorcode}
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


def errno_of(error: BaseException) -> int | None:
    """What the operating system answered, as errno numbers it; None where an error is not about that."""
    if isinstance(error, OSError):
        return error.errno
    if match := _OF_RUST.search(str(error)):
        return int(match[1])
    match = _OF_DUCKDB.match(str(error))
    return _NUMBERS.get(match[1].strip()) if match else None


def explain(error: BaseException, path: Path) -> str | None:
    """Why `path` could not be read or written, and what to do; None where the operating system was not in the way."""
    if isinstance(error, DaycastError):
        return str(error) if isinstance(error, StorageError) else None
    named = str(_place_of(error) or "")
    place, number = Path(named) if Path(named).is_absolute() else path, errno_of(error)
    if number in _NO_ROOM:
        folder = _nearest_folder(place)
        free = _size(shutil.disk_usage(folder).free)
        return f"{place} cannot be written: {os.strerror(number)}; without it {free} are free in {folder}: make room"
    if number in _WRONG_KIND:
        return _explain_kind(place)
    return None if number not in _WAYS_OUT else f"{place} {_WAYS_OUT[number].format(user=os.geteuid())}"


def _place_of(error: BaseException) -> str | bytes | None:
    """The file that an error of the operating system is about: of a move the one that stands in the way."""
    if not isinstance(error, OSError):
        return None
    place: str | bytes | None = error.filename2 if error.errno in _WRONG_KIND and error.filename2 else error.filename
    return place


@contextmanager
def explained(path: Path, kind: type[DaycastError] = StorageError) -> Iterator[None]:
    """Within the block whatever the operating system refuses about `path` is raised as `kind`, in one line."""
    try:
        yield
    except Exception as error:
        if (told := explain(error, path)) is None or isinstance(error, kind):
            raise
        raise kind(told) from error


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raise StorageError where fewer than `needed` bytes are free for `what` in a folder, which need not be there yet."""
    folder = _nearest_folder(folder)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{what} needs about {_size(needed)} in {folder}, and {_size(free)} are free: make room first"
        )


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
