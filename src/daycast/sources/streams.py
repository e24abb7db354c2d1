"""In which encoding a text is, and the way from there to UTF-8 that invents nothing.

The rule where none is declared: a byte order mark decides; else a text with any character of UTF-8 beyond ASCII is UTF-8,
whatever bytes are damaged in it; else one whose bytes beyond ASCII all make sense in Western European Windows is that (cp1252);
else it is UTF-8, and bytes that are none stay unreadable. An unreadable byte becomes UNREADABLE.
"""

import codecs
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from io import BytesIO
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import AfterValidator

from daycast.errors import SourceError

# Bytes from outside, read in blocks: what comes out of them is counted, and no line goes on for ever.
#
# A few kilobytes of gzip may unpack to gigabytes, so that the size of a file says nothing. Whatever is read goes through here.


MOST_BYTES = 16 * 2**30  # of one file, unpacked: as it is read piece by piece, a matter of time and not of memory
MOST_LINE = 2**20  # bytes of one line: no row of readings comes near it
MOST_IN_MEMORY = 64 * 2**20  # bytes that are held at once
_BLOCK = 2**20
_GZIP = b"\x1f\x8b"


class DamagedError(Exception):
    """Compressed bytes are damaged or end too early."""


@contextmanager
def open_bytes(path: Path, origin: str) -> Iterator[BinaryIO]:
    """A file to be read more than once; a small one in memory, so that it is the same each time.

    Raises SourceError naming `origin` where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_IN_MEMORY + 1)
            if len(content) <= MOST_IN_MEMORY:
                yield BytesIO(content)
            else:
                del content
                yield file
    except OSError as error:
        raise SourceError(f"{origin} cannot be read: {error.strerror}") from None


def read_bytes(path: Path, origin: str, most: int = MOST_IN_MEMORY) -> bytes:
    """A file that fits into memory, as it lies on the disk; raises SourceError naming it where it cannot be read or is larger."""
    with open_bytes(path, origin) as file:
        return b"".join(counted(blocks_of(file), origin, most))


def blocks_of(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of a stream from its beginning, as they lie there."""
    stream.seek(0)
    return iter(lambda: stream.read(_BLOCK), b"")


def is_packed(stream: BinaryIO) -> bool:
    """Whether a stream is gzip."""
    stream.seek(0)
    return stream.read(len(_GZIP)) == _GZIP


def unpacked(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of a stream from its beginning, out of their gzip where they are in one. Raises DamagedError."""
    if not is_packed(stream):
        yield from blocks_of(stream)
        return
    stream.seek(0)
    with GzipFile(fileobj=stream) as plain:
        try:
            yield from iter(lambda: plain.read(_BLOCK), b"")
        except (BadGzipFile, EOFError, zlib.error):
            raise DamagedError from None


def counted(blocks: Iterable[bytes], origin: str, most: int = MOST_BYTES) -> Iterator[bytes]:
    """The same blocks. Raises SourceError naming `origin` once they hold more than `most` bytes."""
    size = 0
    for block in blocks:
        size += len(block)
        if size > most:
            raise SourceError(
                f"{origin} holds more than {most:,} bytes, the most that is read: cut it into smaller files"
            )
        yield block


def whole_lines(blocks: Iterable[bytes], origin: str) -> Iterator[bytes]:
    """The same bytes in blocks that end where a line does, except the last.

    Raises SourceError naming `origin` for a line of more than MOST_LINE bytes.
    """
    begun = b""  # a line whose end has not come
    for block in blocks:
        mark = b"\n" if b"\n" in block else b"\r"
        first, last = block.find(mark), block.rfind(mark) + 1
        if len(begun) + (first if last else len(block)) > MOST_LINE:
            raise SourceError(
                f"{origin} has a line of more than {MOST_LINE:,} bytes, the most that is read: is it a table with a row a line?"
            )
        if last:
            yield begun + block[:last]
            begun = block[last:]
        else:
            begun += block
    if begun:
        yield begun


UNREADABLE = "\ufffd"
WESTERN = "cp1252"
_UTF8_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# letters and the signs of loggers and names; Western words never have three such letters in a row, and Cyrillic ones have
_WESTERN = rb"\x80\x85\x89\x8a\x8c\x8e\x91-\x97\x9a\x9c\x9e\x9f\xa0\xa7\xaa\xab\xb0-\xb5\xb7\xb9-\xbe\xc0-\xd6\xd8-\xf6\xf8-\xfe"
_NOT_WESTERN = re.compile(rb"[\x80-\xff]{3}|[^\x00-\x7f" + _WESTERN + rb"]")
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8"}


def _validate_encoding(name: str) -> str:
    """Return `name` if it is an encoding of text; raise ValueError if not."""
    try:
        "a".encode(name).decode(name)
        codecs.getincrementaldecoder(name)
    except (LookupError, UnicodeError, TypeError, ValueError):
        raise ValueError(
            f"{name!r} is no encoding: write for example 'cp1252', 'cp1251', 'shift_jis' or 'utf-16-le'"
        ) from None
    return name


Encoding = Annotated[str, AfterValidator(_validate_encoding)]


def marked_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark at the beginning of a text tells of."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


class Evidence:
    """What the bytes of a text, shown one after the other in blocks of whole lines, say about its encoding."""

    def __init__(self) -> None:
        self.is_utf8 = True
        self._has_utf8 = False
        self._is_western = True

    def add(self, lines: bytes) -> None:
        """Look at more of the text."""
        if lines.isascii():
            return
        try:
            lines.decode()
            self._has_utf8 = True
        except UnicodeDecodeError:
            self.is_utf8 = False
            self._has_utf8 = self._has_utf8 or _UTF8_CHARACTER.search(lines) is not None
            self._is_western = self._is_western and _NOT_WESTERN.search(lines) is None

    @property
    def encoding(self) -> str:
        """The encoding, once all was shown."""
        return WESTERN if not self.is_utf8 and not self._has_utf8 and self._is_western else "utf-8"


def as_utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """A text in UTF-8, without a byte order mark; what is no text in `encoding` is UNREADABLE."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    texts = (decoder.decode(block) for block in blocks)
    begun = False
    for text in texts:
        if text:
            yield (text if begun else text.removeprefix("\ufeff")).encode(errors="replace")
            begun = True
    if rest := decoder.decode(b"", final=True):
        yield rest.encode(errors="replace")
