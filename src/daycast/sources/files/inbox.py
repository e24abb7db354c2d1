"""A folder that files are dropped into: which of them are ready to be read, and what becomes of them afterwards."""

import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, takewhile
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, PrivateAttr, Tag, model_validator

from daycast.errors import SourceError
from daycast.sources.batch import SourceBatch
from daycast.sources.tables.short_forms import Duration, Names

# From globs in the configuration to files, in an order that never changes.


_MAGIC = frozenset("*?[")


def matched_files(globs: Iterable[str], folder: Path, may_be_empty: bool = False) -> list[tuple[str, Path]]:
    """(short name, path) of every file that matches, each once, sorted by short name.

    Globs are relative to `folder` or absolute, and so are the short names.
    Raises SourceError naming a glob that matches no file; where it `may_be_empty`, one whose folder is not there.
    """
    found: dict[Path, tuple[str, Path]] = {}
    for glob in globs:
        paths = [path for path in _expand(glob, folder) if path.is_file()]
        if not paths and not (may_be_empty and _folder_of(glob, folder).is_dir()):
            raise SourceError(f"no file matches {glob!r} (looked from {folder.resolve()})")
        for path in paths:
            found.setdefault(path.resolve(), (_short_name(path, folder), path))
    return sorted(found.values())


def _expand(glob: str, folder: Path) -> Iterator[Path]:
    pattern = Path(glob).expanduser()
    literal = folder / pattern
    if literal.exists():  # a name with brackets in it is a name first
        return iter([literal])
    if pattern.is_absolute():
        return Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    return folder.glob(str(pattern))


def _folder_of(glob: str, folder: Path) -> Path:
    """The part of the pattern that is a folder whatever the rest matches."""
    parts = Path(glob).expanduser().parent.parts
    return folder.joinpath(*takewhile(lambda part: not _MAGIC & set(part), parts))


def _short_name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


# One file of a drop folder: whether it may still be being written, and how it is put away once it was taken in.


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
class InboxFile:
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


class FileChunks:
    """The pieces of one file, in order, each a delivery of its own; the file is put away once the last of them was taken in.

    `read_as` is the fingerprint of the whole file. One that is a single piece has it too; those of several have it with their
    number, so that a run that was killed goes on at the piece it had come to.
    """

    def __init__(self, file: InboxFile, read_as: str, seen: Collection[str]) -> None:
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


HOW_FILES_COME = {"files", "settle", "after"}  # settings that change no reading
_USUAL_SETTLE = timedelta(seconds=5)


def _validate_inside(text: str) -> str:
    """Return the folder if it lies in the configuration's; raise ValueError if not."""
    path = PurePath(os.path.normpath(text))
    if path.is_absolute() or path.parts[:1] in [(), ("..",), ("~",)]:
        raise ValueError(f"{text!r} does not lie in the folder of the configuration: write for example 'done'")
    return str(path)


class MoveTo(BaseModel):
    """Move a file that was taken in whole to this folder, relative to the configuration's and inside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    move_to: Annotated[str, AfterValidator(_validate_inside)]


def _after_tag(value: Any) -> str:
    return "keep" if isinstance(value, str) else "move"


After = Annotated[
    Annotated[Literal["keep"], Tag("keep")] | Annotated[MoveTo, Tag("move")],
    Discriminator(_after_tag),
]


class Inbox(BaseModel):
    """The settings of a source that reads files, relative to the folder in the validation context as `folder`.

    A file that was written to less than `settle` ago is left for the next run. Where it is not set it is 5 s, and a file that
    stays where it is (`after` = "keep") is read at once unless it ends in the middle: it is read again once it has grown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resumes: ClassVar[bool] = False

    name: str
    files: Names  # globs
    settle: Duration | None = None
    after: After = "keep"

    _folder: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any, /) -> None:
        """Remember the folder that all paths are relative to."""
        self._folder = Path((context or {}).get("folder", "."))

    @model_validator(mode="after")
    def _validate_apart(self) -> "Inbox":
        if isinstance(self.after, MoveTo):
            for glob in self.files:
                if os.path.normpath(PurePath(glob).parent) == self.after.move_to:
                    raise ValueError(f"files {glob!r} are read from the folder that after.move_to moves them to")
        return self

    def arrived(self) -> list[InboxFile]:
        """The files that are ready to be read, by name.

        Raises SourceError for a glob that matches no file, or, as files that are moved away leave none, whose folder is
        missing; and for a folder to move them to that a symbolic link leads out of the configuration's.
        """
        destination = self._destination()
        found = matched_files(self.files, self._folder, may_be_empty=destination is not None)
        if destination is not None:
            found = [(origin, path) for origin, path in found if not path.resolve().is_relative_to(destination)]
        files = (self._as_found(origin, path, destination) for origin, path in found)
        return [file for file in files if file is not None and not (file.young and self._only_settled)]

    def deliver_each(
        self, files: Iterable[InboxFile], deliver: Callable[[InboxFile], Iterable[SourceBatch]]
    ) -> Iterator[SourceBatch]:
        """Yield what `deliver` makes of each file, and raise SourceError for bad ones after the last.

        A file that vanished is left out; so is one that seems to be written to, until the next time.
        """
        errors: list[SourceError] = []
        for file in files:
            try:
                for delivery in deliver(file):
                    if not (self._only_settled and file.has_changed()):
                        yield delivery
            except UnfinishedFileError as error:
                if not file.may_be_unfinished():
                    errors.append(error)
            except SourceError as error:
                if stamp_of(file.path) is not None:
                    errors.append(error)
        if errors:
            others = f" (and {len(errors) - 1} more files cannot be read)" if errors[1:] else ""
            raise SourceError(f"{errors[0]}{others}")

    @property
    def _only_settled(self) -> bool:
        """A file that is moved away is never read again, so that half of it would be lost."""
        return self.settle is not None or isinstance(self.after, MoveTo)

    def _as_found(self, origin: str, path: Path, destination: Path | None) -> InboxFile | None:
        settle = _USUAL_SETTLE if self.settle is None else self.settle
        stamp = stamp_of(path)
        try:
            young = settle > timedelta(0) and age_of(path) < settle.total_seconds()
        except FileNotFoundError:
            return None
        return None if stamp is None else InboxFile(origin, path, stamp, young, destination)

    def _destination(self) -> Path | None:
        if not isinstance(self.after, MoveTo):
            return None
        folder = self._folder.resolve()
        destination = (folder / self.after.move_to).resolve()
        if not destination.is_relative_to(folder):
            raise SourceError(
                f"source {self.name!r}: after.move_to {self.after.move_to!r} leads to {destination}, out of {folder}"
            )
        return destination
