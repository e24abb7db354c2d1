"""Bytes and text from outside, read block by block: size limits, gzip, whole lines, and encodings.

Every source reads files and HTTP bodies through this module. A few kilobytes of gzip may unpack to gigabytes, so the size of
a file says nothing: what comes out is counted (`limited`), and no line may go on for ever (`whole_lines`).

If no encoding is declared, these rules choose one. They invent no characters:

1. A byte order mark decides.
2. A text with any UTF-8 character beyond ASCII is UTF-8, even if some of its bytes are damaged.
3. A text whose bytes beyond ASCII all make sense in Western European Windows is that (cp1252).
4. Any other text is UTF-8, and its bytes that are no UTF-8 stay unreadable: each becomes UNREADABLE.
"""

import codecs
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from gzip import BadGzipFile, GzipFile
from io import BytesIO
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import AfterValidator

from daycast.errors import SourceError

MAX_BYTES = 16 * 2**30  # of one file, decompressed; it is read in blocks, so this limits time, not memory
MAX_LINE_BYTES = 2**20  # of one line; no row of readings comes near it
MAX_IN_MEMORY_BYTES = 64 * 2**20  # that are held at once
_BLOCK = 2**20
_GZIP = b"\x1f\x8b"


class DamagedError(Exception):
    """Compressed bytes are damaged or end too early."""


@contextmanager
def open_bytes(path: Path, origin: str) -> Iterator[BinaryIO]:
    """Open a file that is read more than once; a small one is held in memory, so that it stays the same each time.

    Raises SourceError naming `origin` if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_IN_MEMORY_BYTES + 1)
            if len(content) <= MAX_IN_MEMORY_BYTES:
                yield BytesIO(content)
            else:
                del content
                yield file
    except OSError as error:
        raise SourceError(f"{origin} cannot be read: {error.strerror}") from None


def read_bytes(path: Path, origin: str, max_bytes: int = MAX_IN_MEMORY_BYTES) -> bytes:
    """The content of a file that fits into memory, still compressed if it is.

    Raises SourceError naming `origin` if the file cannot be read or has more than `max_bytes`.
    """
    with open_bytes(path, origin) as file:
        return b"".join(limited(read_blocks(file), origin, max_bytes))


def read_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of a stream from its beginning, as they are."""
    stream.seek(0)
    return iter(lambda: stream.read(_BLOCK), b"")


def is_gzip(stream: BinaryIO) -> bool:
    """Whether a stream is gzip; tells by its first two bytes."""
    stream.seek(0)
    return stream.read(len(_GZIP)) == _GZIP


def decompressed(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of a stream from its beginning, decompressed if it is gzip. Raises DamagedError."""
    if not is_gzip(stream):
        yield from read_blocks(stream)
        return
    stream.seek(0)
    with GzipFile(fileobj=stream) as plain:
        try:
            yield from iter(lambda: plain.read(_BLOCK), b"")
        except (BadGzipFile, EOFError, zlib.error):
            raise DamagedError from None


def limited(blocks: Iterable[bytes], origin: str, max_bytes: int = MAX_BYTES) -> Iterator[bytes]:
    """The same blocks. Raises SourceError naming `origin` once they hold more than `max_bytes`."""
    size = 0
    for block in blocks:
        size += len(block)
        if size > max_bytes:
            raise SourceError(f"{origin} holds more than {max_bytes:,} bytes, the limit: split it into smaller files")
        yield block


def whole_lines(blocks: Iterable[bytes], origin: str) -> Iterator[bytes]:
    """The same bytes in blocks that end at the end of a line; only the last block may not.

    Raises SourceError naming `origin` for a line of more than MAX_LINE_BYTES.
    """
    pending = b""  # a line whose end is in a later block
    for block in blocks:
        mark = b"\n" if b"\n" in block else b"\r"
        first, last = block.find(mark), block.rfind(mark) + 1
        if len(pending) + (first if last else len(block)) > MAX_LINE_BYTES:
            raise SourceError(
                f"{origin} has a line of more than {MAX_LINE_BYTES:,} bytes, the limit: is it a table with one row per line?"
            )
        if last:
            yield pending + block[:last]
            pending = block[last:]
        else:
            pending += block
    if pending:
        yield pending


UNREADABLE = "\ufffd"
WESTERN = "cp1252"
PROPOSED_ENCODINGS = (  # that are tried where a name is not found in a text that is not UTF-8, the commonest first
    "cp1251", "shift_jis", "gb18030", "euc_kr", "big5", "cp1250", "cp1252", "koi8-r", "cp1253", "cp1254", "cp1255", "cp1256",
    "cp866", "euc_jp", "mac_roman", "mac_cyrillic", "utf-16-le", "utf-16-be", "cp850", "cp852",
)  # fmt: skip
_SHOWN_ENCODINGS = 4
_KEPT_WORDS, _MAX_WORD = 20, 40  # of a text that is not UTF-8, to find its encoding by
_WORD = re.compile(rb"[^\x00-\x20,;|\"]*[\x80-\xff][^\x00-\x20,;|\"]*")
_SCRIPTS = {
    "shift_jis": ("HIRAGANA", "KATAKANA", "CJK"), "euc_jp": ("HIRAGANA", "KATAKANA"), "gb18030": ("CJK",), "big5": ("CJK",),
    "euc_kr": ("HANGUL",), "cp1253": ("GREEK",), "cp1255": ("HEBREW",), "cp1256": ("ARABIC",),
    **dict.fromkeys(("cp1251", "koi8-r", "cp866", "mac_cyrillic"), ("CYRILLIC",)),
}  # fmt: skip
_LATIN = ("LATIN",)
_CYRILLIC = frozenset(map(chr, range(0x410, 0x450))) | frozenset("ЁёІіЇїЄєҐґ")
_FREQUENT = frozenset("äöüÄÖÜßéèàçñåøæÅØÆÉ")
_FREQUENT_LEADS = {
    "gb18030": range(0xB0, 0xD8),
    "big5": range(0xA4, 0xC7),
}  # of characters; the rest is what other bytes look like


def encodings_of(words: Iterable[bytes]) -> dict[str, str]:
    """The likeliest encodings of words that are not UTF-8, at most four, each with the first word in it.

    In such an encoding all words are made of letters of its script, and no capital follows a small letter. It may be none.
    """
    some, found = list(words), dict[str, str]()
    for encoding in PROPOSED_ENCODINGS if some else ():
        with suppress(UnicodeError):
            texts = [word.decode(encoding) for word in some]
            if texts[0] not in found.values() and all(_is_word(text, encoding) for text in texts):
                found[encoding] = texts[0]
    likeliest = sorted(found, key=lambda name: _rare_letters(found[name]))
    return {name: found[name] for name in likeliest[:_SHOWN_ENCODINGS]}


def _is_word(text: str, encoding: str) -> bool:
    """Whether the letters of a text are those of words in the encoding's script."""
    scripts = _SCRIPTS.get(encoding, _LATIN)
    letters = [sign for sign in text if sign.isalpha()]
    odd = [sign for sign in text if not sign.isascii()]
    in_script = all(sign.isalpha() and unicodedata.name(sign, "").startswith(scripts) for sign in odd)
    is_alone = scripts == _LATIN or not any(sign.isascii() for sign in letters)
    is_cased = all(not (one.islower() and other.isupper()) for one, other in pairwise(text))
    is_latin = scripts != _LATIN or any(sign.isascii() for sign in letters)
    is_usual = scripts != ("CYRILLIC",) or all(sign in _CYRILLIC for sign in odd)
    leads = _FREQUENT_LEADS.get(encoding)
    return (
        in_script and is_alone and is_cased and is_latin and is_usual
        and (leads is None or all(sign.encode(encoding)[0] in leads for sign in odd))
    )  # fmt: skip


def _rare_letters(text: str) -> int:
    """How many of the accented Latin letters are rare ones."""
    return sum(
        not sign.isascii() and sign not in _FREQUENT and unicodedata.name(sign, "").startswith(_LATIN) for sign in text
    )


def proposed_encodings(words: Iterable[bytes], but: str | None = None) -> str:
    """What to set, in words: the likeliest encodings, and how the first word reads in each, except as it does in `but`."""
    some = list(words)
    known = some[0].decode(but, errors="replace") if but and some else None
    found = [f'"{name}" ({text[:_MAX_WORD]})' for name, text in encodings_of(some).items() if text != known]
    return f"set encoding = {' or '.join(found)}" if found else "set encoding to what the file is written in"


_UTF8_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# letters, and the signs that occur in units and names; unlike Cyrillic words, Western ones never have three of them in a row
_WESTERN = rb"\x80\x85\x89\x8a\x8c\x8e\x91-\x97\x9a\x9c\x9e\x9f\xa0\xa7\xaa\xab\xb0-\xb5\xb7\xb9-\xbe\xc0-\xd6\xd8-\xf6\xf8-\xfe"
_NOT_WESTERN = re.compile(rb"[\x80-\xff]{3}|[^\x00-\x7f" + _WESTERN + rb"]")
_BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8"}


def _validate_encoding(name: str) -> str:
    """Return `name` if it is a text encoding; raise ValueError if not."""
    try:
        "a".encode(name).decode(name)
        codecs.getincrementaldecoder(name)
    except (LookupError, UnicodeError, TypeError, ValueError):
        raise ValueError(
            f"{name!r} is not an encoding: write for example 'cp1252', 'cp1251', 'shift_jis' or 'utf-16-le'"
        ) from None
    return name


Encoding = Annotated[str, AfterValidator(_validate_encoding)]


def bom_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark at the beginning of a text declares; None without one."""
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)


class EncodingDetector:
    """Finds the encoding of a text that is shown to it in blocks of whole lines; the rules are in the module's docstring."""

    def __init__(self) -> None:
        self.is_utf8 = True
        self.words: dict[bytes, None] = {}  # the first with bytes that are not UTF-8
        self.has_utf8 = False  # any character of it beyond ASCII
        self._is_western = True

    def add(self, lines: bytes) -> None:
        """Look at the next lines of the text."""
        if lines.isascii():
            return
        try:
            lines.decode()
            self.has_utf8 = True
        except UnicodeDecodeError:
            self.is_utf8 = False
            self._keep_words(lines)
            self.has_utf8 = self.has_utf8 or _UTF8_CHARACTER.search(lines) is not None
            self._is_western = self._is_western and _NOT_WESTERN.search(lines) is None

    def _keep_words(self, lines: bytes) -> None:
        found = _WORD.finditer(lines) if len(self.words) < _KEPT_WORDS else iter(())
        damaged = (word[0] for word in islice(found, 50 * _KEPT_WORDS) if not _UTF8_CHARACTER.search(word[0]))
        self.words |= dict.fromkeys(islice((word for word in damaged if len(word) <= _MAX_WORD), _KEPT_WORDS))

    @property
    def encoding(self) -> str:
        """The encoding, valid after the whole text was added."""
        return WESTERN if not self.is_utf8 and not self.has_utf8 and self._is_western else "utf-8"


def as_utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The text re-encoded in UTF-8, without a byte order mark; bytes that are invalid in `encoding` become UNREADABLE."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    texts = (decoder.decode(block) for block in blocks)
    pending = False
    for text in texts:
        if text:
            yield (text if pending else text.removeprefix("\ufeff")).encode(errors="replace")
            pending = True
    if rest := decoder.decode(b"", final=True):
        yield rest.encode(errors="replace")
