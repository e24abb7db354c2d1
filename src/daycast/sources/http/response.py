"""What comes of one HTTP request, without the library that sends it: failures, waits, and the response.

Order: the two kinds of failure, `backoff_s` (how long to wait before the next attempt), `Response` (status and body, checked).
Client turns failures into a SourceError when no attempt is left.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BytesIO
from typing import Any

from daycast.sources.streams import DamagedError, decompressed, is_gzip


class TransientError(Exception):
    """A failure that may be over at the next attempt; `wait_s` is the wait that the server asks for, None if it states none."""

    def __init__(self, message: str, wait_s: float | None = None, *, overloaded: bool = False) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        self.overloaded = overloaded  # we sent too many requests, so wait longer than after other failures


class PermanentError(Exception):
    """A failure that every further attempt would meet again."""


FIRST_BACKOFF_S = 1.0  # doubled with each attempt
FIRST_OVERLOAD_BACKOFF_S = 15.0  # most limits are per minute: 15 + 30 + 60 s wait for the next one
MAX_BACKOFF_S = 60.0
MAX_RETRY_AFTER_S = 300.0  # if a server asks for more, the next run asks it again


def backoff_s(error: TransientError, attempt: int, seed: str) -> float:
    """Seconds to wait after attempt number `attempt` (from 0) failed with `error`.

    The wait doubles with each attempt and is shortened by up to half. That share depends on `seed` and `attempt` alone, so
    that clients that failed together do not return together. If the server asks for a longer wait, it is granted. Raises
    PermanentError if it asks for more than MAX_RETRY_AFTER_S.
    """
    first = FIRST_OVERLOAD_BACKOFF_S if error.overloaded else FIRST_BACKOFF_S
    share = zlib.crc32(f"{seed} {attempt}".encode()) / 2**32
    own = min(first * 2**attempt, MAX_BACKOFF_S) * (1 - share / 2)
    if error.wait_s is None:
        return own
    if error.wait_s > MAX_RETRY_AFTER_S:
        raise PermanentError(f"{error}, and asks us to wait {error.wait_s:,.0f} s: try again after that")
    return max(own if not error.overloaded else 0.0, error.wait_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the header Retry-After asks us to wait, a number or a date; None if it cannot be read.

    A date counts from the Date of the same response, so that neither clock need be right (RFC 9110, section 10.2.3).
    """
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):  # no date, or one with and one without a time zone
        return None
    return max(wait.total_seconds(), 0.0)


MAX_BYTES = 128 * 2**20  # of one body, compressed or not; parsed JSON takes up to twenty times as much memory
_TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}  # another attempt changes no other status
_SHOWN_CHARACTERS = 120  # of an unexpected body, in messages
_REASON_FIELDS = ("reason", "message", "detail", "errorMessage", "error")  # where servers say in JSON what is wrong


@dataclass(frozen=True)
class Response:
    """Status, headers (names in lower case) and the whole body, decoded."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def require_success(self) -> None:
        """Return if the status is 200. Raise TransientError for one that may change, PermanentError for any other."""
        if self.status == HTTPStatus.OK:
            return
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else ""
        message = f"answers {self.status} {phrase}".rstrip() + self._reason()
        if self.status in _TRANSIENT_STATUSES:
            overloaded = self.status == HTTPStatus.TOO_MANY_REQUESTS
            raise TransientError(message, retry_after_s(self.headers), overloaded=overloaded)
        raise PermanentError(message)

    def json(self) -> Any:
        """The body, parsed. Raises TransientError with its first characters if it is cut off or no JSON."""
        kind = self.headers.get("content-type", "without a type").partition(";")[0].strip()
        if not kind.endswith(("html", "xml")):
            try:
                return json.loads(self.content)
            except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
                pass
        raise TransientError(f"answers with invalid JSON ({kind}), which begins with {_shortened(self.content)!r}")

    def _reason(self) -> str:
        """What the server says is wrong, after a colon; empty if it only sends a page for people."""
        if self.headers.get("content-type", "").startswith("text/plain"):
            reason: Any = _shortened(self.content)
        else:
            reason = _reason_in_json(self.content)
        return f": {reason}" if reason else ""


def decode(content: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding.

    Raises TransientError if it is damaged or cut off, PermanentError for an unknown encoding.
    """
    if encoding in {"", "identity"}:
        return content
    if encoding not in {"gzip", "x-gzip"}:
        raise PermanentError(f"encodes its response as {encoding!r}, which was not asked for")
    body = BytesIO(content)
    damage = TransientError("sends a compressed body that is damaged or cut off")
    if content and not is_gzip(body):
        raise damage
    try:
        return limited_body(decompressed(body))
    except DamagedError:
        raise damage from None


def limited_body(parts: Iterable[bytes]) -> bytes:
    """The parts of a body, joined. Raises PermanentError if they have more than MAX_BYTES."""
    content = bytearray()
    for part in parts:
        content += part
        if len(content) > MAX_BYTES:
            raise PermanentError(f"answers with more than {MAX_BYTES:,} bytes, the limit; ask for less at once")
    return bytes(content)


def _reason_in_json(content: bytes) -> str:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    for _ in range(2):  # {"error": {"message": "…"}} is the deepest form in use
        if not isinstance(parsed, dict):
            return ""
        values = [parsed[name] for name in _REASON_FIELDS if name in parsed]
        texts = [value for value in values if isinstance(value, str)]
        if texts:
            return _shortened(texts[0].encode())
        parsed = next((value for value in values if isinstance(value, dict)), None)
    return ""


def _shortened(content: bytes) -> str:
    """The first characters, on one line."""
    line = " ".join(content[: 4 * _SHOWN_CHARACTERS].decode(errors="replace").split())
    printable = "".join(character if character.isprintable() else "�" for character in line)
    return printable if len(printable) <= _SHOWN_CHARACTERS else printable[:_SHOWN_CHARACTERS] + "…"
