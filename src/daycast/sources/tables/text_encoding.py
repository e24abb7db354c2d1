"""In which encoding a text is, and the way from there to UTF-8 that invents nothing.

The rule where none is declared: a byte order mark decides; else a text with any character of UTF-8 beyond ASCII is UTF-8,
whatever bytes are damaged in it; else one whose bytes beyond ASCII all make sense in Western European Windows is that (cp1252);
else it is UTF-8, and bytes that are none stay unreadable. An unreadable byte becomes UNREADABLE.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import AfterValidator

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
