"""A folder that files are dropped into: which are ready to be read, and what becomes of them afterwards.

Order: from globs to files (`matched_files`), one file (`InboxFile`), its chunks (`FileLoader`), and the settings that all
file sources share (`Inbox`), whose `read_files` puts these together.
"""

import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from fnmatch import fnmatch
from itertools import count, takewhile
from pathlib import Path, PurePath
from typing import Annotated, Any, BinaryIO, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, PrivateAttr, Tag, model_validator

from daycast.errors import SourceError
from daycast.sources.batch import SourceBatch
from daycast.sources.context import SettingsInContext
from daycast.sources.streams import open_bytes
from daycast.sources.tables.short_forms import Duration, Names

_MAGIC = frozenset("*?[")


def matched_files(globs: Iterable[str], folder: Path, may_be_empty: bool = False) -> list[tuple[str, Path]]:
    """(short name, path) of every file that matches a glob, each file once, sorted by short name.

    Globs are relative to `folder` or absolute, and so are the short names. Raises SourceError naming a glob that matches no
    file. If `may_be_empty`, only a glob whose folder is missing is an error.
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
    if literal.exists():  # a file whose name has brackets
        return iter([literal])
    if pattern.is_absolute():
        return Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    return folder.glob(str(pattern))


def _folder_of(glob: str, folder: Path) -> Path:
    """The leading part of the glob that has no wildcards."""
    parts = Path(glob).expanduser().parent.parts
    return folder.joinpath(*takewhile(lambda part: not _MAGIC & set(part), parts))


def _short_name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


class UnfinishedFileError(SourceError):
    """A file ends too early: it is still being written, or it was cut off."""


class Stamp(NamedTuple):
    """What changes when a file is written to or replaced."""

    inode: int
    size: int  # bytes
    modified_ns: int  # since 1970


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file, None if it does not exist any more. Raises SourceError if its state cannot be read."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns)


def age_of(path: Path) -> float:
    """Seconds since the file was last written to, by the clock of the machine that holds its folder.

    An unnamed temporary file in the same folder tells the time of that clock. So the wrong clock of a file server does no
    harm, and nothing here reads the local clock. A time of modification in the future was copied from elsewhere; then the
    time of the copy counts.
    """
    now, status = _time_in(path.parent), path.stat()
    return now - (status.st_mtime if status.st_mtime <= now else status.st_ctime)


def _time_in(folder: Path) -> float:
    for place in (folder, None):  # if the folder cannot be written, use the clock of this machine
        try:
            with tempfile.TemporaryFile(dir=place) as nameless:
                return os.fstat(nameless.fileno()).st_mtime
        except OSError:
            continue
    raise SourceError(f"cannot make a temporary file in {folder} or elsewhere: set TMPDIR to a writable folder")


@dataclass(frozen=True)
class InboxFile:
    """A file as it was found. `destination` is the folder it is moved to after ingest, None if it stays."""

    origin: str  # its short name
    path: Path
    stamp: Stamp
    young: bool  # written to less than `settle` ago
    destination: Path | None = None

    def has_changed(self) -> bool:
        """Whether it was written to, replaced or removed since it was found."""
        return stamp_of(self.path) != self.stamp

    def may_be_unfinished(self) -> bool:
        """Whether somebody may still be writing it."""
        return self.young or self.has_changed()

    def move_away(self) -> None:
        """Move it to its destination, never over another file. A file that changed meanwhile stays, to be read again.

        A symbolic link stays too, because its target was never in the folder. Raises SourceError if the file cannot be
        moved.
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
                f"{self.origin} was ingested but cannot be moved to {self.destination}: {error.strerror}; "
                "after.move_to must be a writable folder on the same file system"
            ) from None


class FileChunk(NamedTuple):
    """Some rows of a file, which `make_batch` turns into a batch if they are new."""

    begins_at: str  # for people, for example "line 1,001"
    last: bool
    make_batch: Callable[[], SourceBatch]
    # Whether later chunks depend on this one having been read: when clocks are set back, one hour comes twice, and which of
    # the two a row means depends on the rows before it.
    needed_by_later: bool


class FileLoader:
    """Turns the chunks of one file into batches, and moves the file away once all of them were ingested.

    A file of one chunk has the fingerprint of its content; the chunks of a larger one add their number, so that a run that
    was killed continues at the chunk it had reached.
    """

    def __init__(self, file: InboxFile, fingerprint: str, seen: Collection[str]) -> None:
        self._file, self._fingerprint, self._seen = file, fingerprint, seen
        self._started = self._ingested = 0  # chunks
        self._last_started = False

    @property
    def all_seen(self) -> bool:
        """Whether every chunk was ingested before."""
        number = next(number for number in count(1) if self._of_chunk(number, last=False) not in self._seen)
        return self._fingerprint in self._seen or self._of_chunk(number, last=True) in self._seen

    def batches(self, chunks: Iterable[FileChunk]) -> Iterator[SourceBatch]:
        """Yield a batch for each chunk that was not ingested before, with its origin, fingerprint and `finish`."""
        for chunk in chunks:
            self._started += 1
            self._last_started = chunk.last
            is_whole_file = chunk.last and self._started == 1
            fingerprint = self._fingerprint if is_whole_file else self._of_chunk(self._started, last=chunk.last)
            if fingerprint in self._seen:
                if chunk.needed_by_later:
                    chunk.make_batch()
                self._finish_chunk()
                continue
            origin = self._file.origin if is_whole_file else f"{self._file.origin} from {chunk.begins_at}"
            yield replace(
                chunk.make_batch(),
                origin=origin,
                fingerprint=fingerprint,
                file=self._file.origin,
                finish=self._finish_chunk,
            )

    def _finish_chunk(self) -> None:
        """Count one more chunk as ingested. Raises SourceError if the file cannot be moved away."""
        self._ingested += 1
        if self._last_started and self._ingested == self._started:
            self._file.move_away()

    def _of_chunk(self, number: int, *, last: bool) -> str:
        return f"{self._fingerprint} {number}{' last' if last else ''}"


PART = r" from (?:line|row) [\d,]+$"  # what an origin that is a part of a file has behind its name


def file_of(origin: str) -> str:
    """The file that a batch with this origin came from."""
    return re.sub(PART, "", origin)


def ends_its_file(batch: SourceBatch) -> bool:
    """Whether a batch is the last chunk of its file, or all of it."""
    return file_of(batch.origin) == batch.origin or batch.fingerprint.endswith(" last")


def _reserve(folder: Path, path: Path) -> Path:
    """A new empty file in `folder` with the name of `path`, or with a number added if that name is taken."""
    for number in count(1):
        candidate = folder / (path.name if number == 1 else f"{path.stem}-{number}{path.suffix}")
        try:
            candidate.touch(exist_ok=False)
        except FileExistsError:
            continue
        return candidate
    raise AssertionError  # count never ends


class Sample(NamedTuple):
    """A part of an inbox that is read in place of all of it."""

    origins: frozenset[str]  # of its files
    rows: int  # of a file: no further chunk is read after so many


INBOX_SETTINGS = {"files", "settle", "after"}  # settings that change no reading
_DEFAULT_SETTLE = timedelta(seconds=5)


def _validate_inside(text: str) -> str:
    """Return the folder if it is inside the configuration's folder; raise ValueError if not."""
    path = PurePath(os.path.normpath(text))
    if path.is_absolute() or path.parts[:1] in [(), ("..",), ("~",)]:
        raise ValueError(f"{text!r} is not inside the configuration's folder: write for example 'done'")
    return str(path)


class MoveTo(BaseModel):
    """Move a file after ingest to this folder, which is relative to the configuration's folder and inside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    move_to: Annotated[str, AfterValidator(_validate_inside)]


def _after_tag(value: Any) -> str:
    return "keep" if isinstance(value, str) else "move"


After = Annotated[
    Annotated[Literal["keep"], Tag("keep")] | Annotated[MoveTo, Tag("move")],
    Discriminator(_after_tag),
]


class Inbox(SettingsInContext):
    """The settings that all sources of files share. Paths are relative to `folder` in the validation context.

    A file that was written to less than `settle` ago is left for the next run. If `settle` is not set it is 5 s, and a file
    that is kept where it is (`after` = "keep") is read at once unless it ends in the middle: once it has grown it is read
    again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resumes: ClassVar[bool] = False

    name: str
    files: Names  # globs
    settle: Duration | None = None
    after: After = "keep"
    _reads_put_away: bool = PrivateAttr(default=False)
    _sample: Sample | None = PrivateAttr(default=None)
    _is_delivered_again: Callable[[InboxFile, str], bool] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _validate_move_to(self) -> "Inbox":
        if isinstance(self.after, MoveTo):
            for glob in self.files:
                if os.path.normpath(PurePath(glob).parent) == self.after.move_to:
                    raise ValueError(f"files {glob!r} are read from the folder that after.move_to moves them to")
        return self

    def ready_files(self) -> list[InboxFile]:
        """The files that are ready to be read, by name.

        Raises SourceError for a glob that matches no file; if files are moved away, only for a glob whose folder is missing.
        Raises SourceError, too, if a symbolic link leads `after.move_to` out of the configuration's folder.
        """
        ready = [file for file in self._matched() if not (file.young and self._only_settled)]
        return [*self._put_away(self._destination()), *ready] if self._reads_put_away else ready

    def unsettled_files(self) -> list[str]:
        """The names of the files that are left for the next run, because they were written to a moment ago."""
        return [file.origin for file in self._matched() if file.young and self._only_settled]

    def _matched(self) -> list[InboxFile]:
        """The files that match a glob, those of the sample if there is one; without those that were put away."""
        destination = self._destination()
        found = matched_files(self.files, self._folder, may_be_empty=destination is not None)
        if destination is not None:
            found = [(origin, path) for origin, path in found if not path.resolve().is_relative_to(destination)]
        if self._sample:
            found = [(origin, path) for origin, path in found if origin in self._sample.origins]
        files = (self._inspect(origin, path, destination) for origin, path in found)
        return [file for file in files if file is not None]

    def with_sample(self, sample: Sample) -> Self:
        """The same source, reading only a part of its files."""
        copy = self.model_copy()
        copy._sample = sample  # noqa: SLF001 (its own class)
        return copy

    def with_files_put_away(self) -> Self:
        """The same source, reading first the files that it has put away, by the time they were written; these stay there."""
        copy = self.model_copy()
        copy._reads_put_away = True  # noqa: SLF001 (its own class)
        return copy

    def with_delivered_again(self, is_delivered_again: Callable[[InboxFile, str], bool]) -> Self:
        """The same source, which reads a file whose content (its fingerprint) was ingested, too, if this says so."""
        copy = self.model_copy()
        copy._is_delivered_again = is_delivered_again  # noqa: SLF001 (its own class)
        return copy

    def places_of(self, origin: str) -> list[Path]:
        """Where a file of this short name may be: where it was found, and in the folder of `after.move_to`."""
        destination = self._destination()
        return [self._folder / origin, *([destination / PurePath(origin).name] if destination else [])]

    def _put_away(self, destination: Path | None) -> list[InboxFile]:
        """The files in `after.move_to`, with the names that they were read under."""
        if destination is None:
            return []
        folder = {PurePath(glob).name: PurePath(glob).parent for glob in self.files}
        found = []
        for name in self.files_put_away():
            parent = next(parent for pattern, parent in folder.items() if fnmatch(name, pattern))
            if file := self._inspect((parent / name).as_posix(), destination / name, None):
                found.append(replace(file, young=False))
        return sorted(found, key=lambda file: file.stamp.modified_ns)

    def files_put_away(self) -> list[str]:
        """The names of the files in the folder of `after.move_to` that match a glob; none if files are kept where they are."""
        destination = self._destination()
        if destination is None or not destination.is_dir():
            return []
        patterns = [PurePath(glob).name for glob in self.files]
        names = sorted(entry.name for entry in os.scandir(destination) if entry.is_file())
        return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]

    def read_files(
        self,
        seen: Collection[str],
        fingerprint_of: Callable[[BinaryIO, str], str],
        chunks_of: Callable[[BinaryIO, InboxFile], Iterable[FileChunk]],
    ) -> Iterator[SourceBatch]:
        """The batches of all files that are ready, by name; a large file gives several.

        `fingerprint_of` gets a file and its name, `chunks_of` a file and what is known about it. A file whose chunks are all
        `seen` is only moved away, unless it was delivered again.
        Raises SourceError as `ready_files` does before any file is read, and for bad files after the last batch. A file that
        vanished is left out; one that seems to be still written to is left for the next run.
        """

        def batches(file: InboxFile) -> Iterator[SourceBatch]:
            with open_bytes(file.path, file.origin) as stream:
                fingerprint = fingerprint_of(stream, file.path.name)
                is_again = self._is_delivered_again is not None and self._is_delivered_again(file, fingerprint)
                loader = FileLoader(file, fingerprint, () if is_again else seen)
                if loader.all_seen:
                    file.move_away()  # a run was killed between the commit and the move
                    return
                yield from loader.batches(chunks_of(stream, file))

        return self._read_each(self.ready_files(), batches)

    def _read_each(
        self, files: Iterable[InboxFile], batches: Callable[[InboxFile], Iterable[SourceBatch]]
    ) -> Iterator[SourceBatch]:
        errors: dict[str, SourceError] = {}
        for file in files:
            try:
                for batch in self._sampled(batches(file)):
                    if not (self._only_settled and file.has_changed()):
                        yield batch
            except UnfinishedFileError as error:
                if not file.may_be_unfinished():
                    errors[file.origin] = error
            except SourceError as error:
                if stamp_of(file.path) is not None:
                    errors[file.origin] = error
        if errors:
            reasons = {origin: str(error) for origin, error in errors.items()}
            more = len(reasons) - 1
            others = f" (and {more} more file{'s' if more > 1 else ''} cannot be read)" if more else ""
            raise SourceError(f"{next(iter(reasons.values()))}{others}", reasons)

    def _sampled(self, batches: Iterable[SourceBatch]) -> Iterator[SourceBatch]:
        """The batches of a file; those that a sample has of it."""
        rows = 0
        for batch in batches:
            yield batch
            rows += len(batch.readings)
            if self._sample and rows >= self._sample.rows:
                return

    @property
    def _only_settled(self) -> bool:
        """True if half a file would be lost: a file that is moved away is never read again."""
        return self.settle is not None or isinstance(self.after, MoveTo)

    def _inspect(self, origin: str, path: Path, destination: Path | None) -> InboxFile | None:
        settle = _DEFAULT_SETTLE if self.settle is None else self.settle
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
