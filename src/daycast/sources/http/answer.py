"""One answer of an HTTP server, and what is to be made of it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import Any

from daycast.sources.bounded import DamagedError, is_packed, unpacked
from daycast.sources.http.pause import asked_wait_s
from daycast.sources.http.trouble import LastingError, PassingError

MOST_BYTES = 128 * 2**20  # of one body, packed or not: JSON takes up to twenty times as much when it is read
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # all others stay as they are, however often we ask
_SHORT = 120  # characters of a strange body that are shown
_REASON = ("reason", "message", "detail", "errorMessage", "error")  # where servers that speak JSON say what is wrong


@dataclass(frozen=True)
class Answer:
    """Status, headers (by name in lower case) and the whole body, decoded."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def require_success(self) -> None:
        """Raise PassingError for a status that may be another one next time, LastingError for any other but 200."""
        if self.status == HTTPStatus.OK:
            return
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else ""
        message = f"answers {self.status} {phrase}".rstrip() + self._reason()
        if self.status in _PASSING:
            overloaded = self.status == HTTPStatus.TOO_MANY_REQUESTS
            raise PassingError(message, asked_wait_s(self.headers), overloaded=overloaded)
        raise LastingError(message)

    def json(self) -> Any:
        """What the body says. Raises PassingError with its first characters where it is cut off, or no JSON at all."""
        kind = self.headers.get("content-type", "without a type").partition(";")[0].strip()
        if not kind.endswith(("html", "xml")):
            try:
                return json.loads(self.content)
            except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
                pass
        raise PassingError(f"answers with no proper JSON ({kind}), which begins with {_shortened(self.content)!r}")

    def _reason(self) -> str:
        """What the server says is wrong, after a colon; nothing where it only sends a page for people."""
        if self.headers.get("content-type", "").startswith("text/plain"):
            said: Any = _shortened(self.content)
        else:
            said = _said(self.content)
        return f": {said}" if said else ""


def decode(content: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding. Raises PassingError where it is cut off, LastingError for an unknown encoding."""
    if encoding in {"", "identity"}:
        return content
    if encoding not in {"gzip", "x-gzip"}:
        raise LastingError(f"encodes its answer as {encoding!r}, which was not asked for")
    body = BytesIO(content)
    damage = PassingError("sends a compressed body that is damaged or cut off")
    if content and not is_packed(body):
        raise damage
    try:
        return bounded(unpacked(body))
    except DamagedError:
        raise damage from None


def bounded(parts: Iterable[bytes]) -> bytes:
    """The parts of a body together. Raises LastingError where that is more than any that is read."""
    content = bytearray()
    for part in parts:
        content += part
        if len(content) > MOST_BYTES:
            raise LastingError(
                f"answers with more than {MOST_BYTES:,} bytes, the most that is read; ask for less at once"
            )
    return bytes(content)


def _said(content: bytes) -> str:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    for _ in range(2):  # {"error": {"message": "…"}} is the deepest in use
        found = [told[key] for key in _REASON if key in told] if isinstance(told, dict) else []
        texts = [each for each in found if isinstance(each, str)]
        if texts:
            return _shortened(texts[0].encode())
        told = next((each for each in found if isinstance(each, dict)), None)
    return ""


def _shortened(content: bytes) -> str:
    """The first characters on one line."""
    line = " ".join(content[: 4 * _SHORT].decode(errors="replace").split())
    printable = "".join(character if character.isprintable() else "�" for character in line)
    return printable if len(printable) <= _SHORT else printable[:_SHORT] + "…"
