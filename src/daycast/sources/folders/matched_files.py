"""From globs in the configuration to files, in an order that never changes."""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path

from daycast.errors import SourceError

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
