"""A file of separated values as a frame of strings: nothing guessed, nothing dropped, or one line that says why not."""

import csv
import gzip
import re
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import AfterValidator

from daycast.errors import SourceError
from daycast.sources.folders.dropped_file import UnfinishedFileError
from daycast.sources.nearest import did_you_mean, listed

BEYOND = "(beyond the header"  # how the columns begin that hold what stands behind the last named one
_MOST_BEYOND = 1000  # a line of garbage must not become a million columns
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def _validate_separator(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text in '"\r\n':
        raise ValueError(f"{text!r} is no separator: write one ASCII character such as ',', ';' or a tab")
    return text


Separator = Annotated[str, AfterValidator(_validate_separator)]


def read_bytes(path: Path, origin: str) -> bytes:
    """The file as it lies on the disk; raises SourceError naming it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{origin} cannot be read: {error.strerror}") from None


def ends_mid_line(content: bytes) -> bool:
    """Whether plain text ends without a line break, as it does while it is being copied."""
    plain = not content.startswith(b"\x1f\x8b")
    return plain and not content.rstrip(b"\x00").endswith((b"\n", b"\r"))  # a line break in UTF-16 may end in a zero


def may_be_quoted(content: bytes) -> bool:
    """Whether a quotation mark stands anywhere in the text; of compressed text nobody knows."""
    return content.startswith(b"\x1f\x8b") or b'"' in content


def parse_table(content: bytes, separator: str, needed: Collection[str], origin: str) -> pl.DataFrame:
    """The rows of `content`, plain or gzip, every column a string under the name in its header, null where empty.

    Short rows end in nulls, fields beyond the header stand in columns that begin with BEYOND, and lines without any
    value are left out.
    Raises SourceError naming `origin` for what is no text, badly quoted or without a `needed` column, and its
    UnfinishedFileError for what is empty or a gzip file that ends too early.
    """
    header_line, _, body = _as_text(content, origin).lstrip(b"\r\n").partition(b"\n")
    names = _parse_header(header_line.decode(), separator, origin)
    _validate_columns(names, needed, origin)
    header = _numbered(names)
    width = len(header) + 1
    table = _read(body, separator, width, origin)
    if table[:, -1].null_count() < table.height:
        widest = max(line.count(separator.encode()) for line in body.splitlines()) + 1
        width = min(max(widest, width), width + _MOST_BEYOND)
        table = _read(body, separator, width, origin)
    table.columns = header + [f"{BEYOND}, {index})" for index in range(1, width - len(header) + 1)]
    table = table.select(column for column in table if not (column.name.startswith(BEYOND) and column.is_null().all()))
    return table.filter(~pl.all_horizontal(pl.all().is_null()))


def beyond_columns(table: pl.DataFrame) -> list[str]:
    """Names of the columns for which the header of the file has none."""
    return [name for name in table.columns if name.startswith(BEYOND)]


def _as_text(content: bytes, origin: str) -> bytes:
    """UTF-8 without a byte order mark; what is not Unicode is taken for Latin-1, which loses nothing."""
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            raise UnfinishedFileError(f"{origin} is a damaged or incomplete gzip file") from None
    if not content.strip():
        raise UnfinishedFileError(f"{origin} is empty: a header was expected")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace").encode()
    if _BINARY.search(content[:1024]):
        raise SourceError(f"{origin} is no text (it begins with {content[:8]!r})")
    if b"\n" not in content:  # lines as on old Macintoshes, and in exports for them
        content = content.replace(b"\r", b"\n")
    try:
        return content.decode("utf-8-sig").encode()
    except UnicodeDecodeError:
        return content.decode("latin-1").encode()


def _parse_header(line: str, separator: str, origin: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line.rstrip("\r")], delimiter=separator), [])]
    except csv.Error as error:
        raise SourceError(f"{origin} has no header that can be read: {error}") from None


def _numbered(names: list[str]) -> list[str]:
    """The names, a repeated one with its position, so that no column is lost."""
    unique: list[str] = []
    for index, name in enumerate(names):
        unique.append(name if name not in unique else f"{name} ({index + 1})")
    return unique


def _validate_columns(header: list[str], needed: Collection[str], origin: str) -> None:
    missing = [name for name in dict.fromkeys(needed) if name not in header]
    if missing:
        wanted = ", ".join(f"{name!r}{did_you_mean(name, header)}" for name in missing[:4])
        wanted += f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        hint = "; is the separator right?" if len(header) == 1 else ""
        raise SourceError(f"{origin} has no column {wanted}; it has: {listed(header)}{hint}")
    repeated = [name for name in needed if header.count(name) > 1]
    if repeated:
        raise SourceError(f"{origin} has more than one column {repeated[0]!r}; which one is meant cannot be known")


def _read(body: bytes, separator: str, width: int, origin: str) -> pl.DataFrame:
    """`width` columns of strings, under a header of our own because polars fits rows to the first line it sees."""
    header = separator.join(f"c{index}" for index in range(width)).encode() + b"\n"
    try:
        return pl.read_csv(header + body, separator=separator, infer_schema=False, truncate_ragged_lines=True)
    except pl.exceptions.PolarsError as error:
        quoted = re.search(r"could not parse `(.+?)(?:\n|`)", str(error))
        at = body.find(quoted[1].encode()) if quoted else -1
        if quoted is None or at < 0:
            raise SourceError(f"{origin} is no table of separated values: {str(error).splitlines()[0][:120]}") from None
        line = body[:at].count(b"\n") + 2
        raise SourceError(
            f"{origin} line {line}: a quotation mark is out of place or never closed at {quoted[1][:40]!r}"
        ) from None
