"""Bytes from outside, read in blocks: what comes out of them is counted, and no line goes on for ever.

A few kilobytes of gzip may unpack to gigabytes, so that the size of a file says nothing. Whatever is read goes through here.
"""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from daycast.errors import SourceError

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
