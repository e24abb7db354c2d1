"""A folder that files are dropped into: which of them are ready to be read, and what becomes of them afterwards."""

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, PrivateAttr, Tag, model_validator

from daycast.errors import SourceError
from daycast.sources.delivery import Delivery
from daycast.sources.folders.dropped_file import DroppedFile, UnfinishedFileError, age_of, stamp_of
from daycast.sources.folders.matched_files import matched_files
from daycast.sources.tables.short_forms import Duration, Names

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


class DropFolder(BaseModel):
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
    def _validate_apart(self) -> "DropFolder":
        if isinstance(self.after, MoveTo):
            for glob in self.files:
                if os.path.normpath(PurePath(glob).parent) == self.after.move_to:
                    raise ValueError(f"files {glob!r} are read from the folder that after.move_to moves them to")
        return self

    def arrived(self) -> list[DroppedFile]:
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
        self, files: Iterable[DroppedFile], deliver: Callable[[DroppedFile], Iterable[Delivery]]
    ) -> Iterator[Delivery]:
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

    def _as_found(self, origin: str, path: Path, destination: Path | None) -> DroppedFile | None:
        settle = _USUAL_SETTLE if self.settle is None else self.settle
        stamp = stamp_of(path)
        try:
            young = settle > timedelta(0) and age_of(path) < settle.total_seconds()
        except FileNotFoundError:
            return None
        return None if stamp is None else DroppedFile(origin, path, stamp, young, destination)

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
