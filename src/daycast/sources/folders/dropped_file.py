"""One file of a drop folder: whether it may still be being written, and how it is put away once it was taken in."""

import os
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

from daycast.errors import SourceError


class UnfinishedFileError(SourceError):
    """A file ends too early: it is still being written, or it was cut off."""


class Stamp(NamedTuple):
    """What changes when a file is written to or replaced."""

    inode: int
    size: int  # bytes
    modified_ns: int  # since 1970


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file, None where there is none any more. Raises SourceError where that cannot be found out."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns)


def age_of(path: Path) -> float:
    """Seconds since the file was last written to, by the clock of the machine that keeps its folder.

    A nameless file made there tells that clock's time, so that a file server whose clock is wrong does no harm and nothing
    here reads one. A time of modification that lies ahead is copied from elsewhere; the time of the copy counts then.
    """
    now, status = _time_in(path.parent), path.stat()
    return now - (status.st_mtime if status.st_mtime <= now else status.st_ctime)


def _time_in(folder: Path) -> float:
    for place in (folder, None):  # a folder that is only read has the clock of this machine
        try:
            with tempfile.TemporaryFile(dir=place) as nameless:
                return os.fstat(nameless.fileno()).st_mtime
        except OSError:
            continue
    raise SourceError(
        f"no temporary file can be made, neither in {folder} nor elsewhere: set TMPDIR to a folder that can be written"
    )


@dataclass(frozen=True)
class DroppedFile:
    """A file as it was found; `destination` is the folder it is moved to once taken in, None where it stays."""

    origin: str  # its short name
    path: Path
    stamp: Stamp
    young: bool  # written to so recently that it may be unfinished
    destination: Path | None = None

    def has_changed(self) -> bool:
        """Whether it was written to, replaced or removed since it was found."""
        return stamp_of(self.path) != self.stamp

    def may_be_unfinished(self) -> bool:
        """Whether somebody may still be writing it."""
        return self.young or self.has_changed()

    def put_away(self) -> None:
        """Move it to its destination, never over another file; one that changed meanwhile stays, to be read again.

        A symbolic link stays too: what it points to was never in the folder. Raises SourceError where it cannot be moved.
        """
        if self.destination is None or self.path.is_symlink() or self.has_changed():
            return
        try:
            self.destination.mkdir(parents=True, exist_ok=True)
            reserved = _reserve(self.destination, self.path)
            try:
                self.path.replace(reserved)
            except OSError:
                reserved.unlink()
                raise
        except FileNotFoundError:  # somebody else moved it first
            return
        except OSError as error:
            raise SourceError(
                f"{self.origin} was taken in but cannot be moved to {self.destination}: {error.strerror}; "
                "after.move_to must be a folder on the same file system that can be written"
            ) from None


class FilePieces:
    """The pieces of one file, in order, each a delivery of its own; the file is put away once the last of them was taken in.

    `read_as` is the fingerprint of the whole file. One that is a single piece has it too; those of several have it with their
    number, so that a run that was killed goes on at the piece it had come to.
    """

    def __init__(self, file: DroppedFile, read_as: str, seen: Collection[str]) -> None:
        self._file, self._read_as, self._seen = file, read_as, seen
        self._given = self._taken_in = 0
        self._complete = False

    @property
    def all_seen(self) -> bool:
        """Whether every piece was taken in before."""
        number = next(number for number in count(1) if self._name(number, last=False) not in self._seen)
        return self._read_as in self._seen or self._name(number, last=True) in self._seen

    def origin(self, where: str) -> str:
        """What the piece last asked for is called; `where` says where one of several begins."""
        return self._file.origin if self._complete and self._given == 1 else f"{self._file.origin} from {where}"

    def next(self, *, last: bool) -> str | None:
        """The fingerprint of the next piece; None where it was taken in before."""
        self._given += 1
        self._complete = last
        name = self._read_as if last and self._given == 1 else self._name(self._given, last=last)
        if name not in self._seen:
            return name
        self.finish()
        return None

    def finish(self) -> None:
        """Note that one more piece was taken in. Raises SourceError where the file cannot be put away."""
        self._taken_in += 1
        if self._complete and self._taken_in == self._given:
            self._file.put_away()

    def _name(self, number: int, *, last: bool) -> str:
        return f"{self._read_as} {number}{' last' if last else ''}"


def _reserve(folder: Path, path: Path) -> Path:
    """A new empty file in `folder`, called like `path` or, where that is taken, with the next number in its name."""
    for number in count(1):
        candidate = folder / (path.name if number == 1 else f"{path.stem}-{number}{path.suffix}")
        try:
            candidate.touch(exist_ok=False)
        except FileExistsError:
            continue
        return candidate
    raise AssertionError  # count never ends
