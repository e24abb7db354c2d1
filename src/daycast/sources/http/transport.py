"""One HTTP request and its response over httpx.

Order: the two kinds of failure, `Deadline` (a limit for the whole request), `backoff_s` (how long to wait before the next
attempt), `Response` (status and body, checked), and `Transport`, which sends the request and follows redirects. Client turns
failures into a SourceError when no attempt is left.
"""

import json
import socket
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from daycast import __version__
from daycast.sources.batch import find_stop
from daycast.sources.http.auth import Auth
from daycast.sources.streams import DamagedError, decompressed, is_gzip


class TransientError(Exception):
    """A failure that may be over at the next attempt; `wait_s` is the wait that the server asks for, None if it states none."""

    def __init__(self, message: str, wait_s: float | None = None, *, overloaded: bool = False) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        self.overloaded = overloaded  # we sent too many requests, so wait longer than after other failures


class PermanentError(Exception):
    """A failure that every further attempt would meet again."""


class Deadline:
    """Cuts a client's connections after a request took `limit_s` seconds.

    httpx has no limit for a whole request: its time-outs begin anew with every byte, so a server that sends head or body
    byte by byte could hold us. The connections are cut, too, if reading is to stop; that raises StoppedError.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._stop = find_stop()
        self.has_expired = False
        self._sockets: list[socket.socket] = []

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the socket of each new connection; httpcore calls this at every step of a request."""
        if event not in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            return
        alive = [known for known in self._sockets if known.fileno() >= 0]
        self._sockets = [*alive, info["return_value"].get_extra_info("socket")]
        if self.has_expired:  # connecting itself took too long
            self._expire()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Cut the connections if the block takes longer than the limit; afterwards `has_expired` tells."""
        self.has_expired = False
        timer = threading.Timer(self.limit_s, self._expire)
        timer.daemon = True
        timer.start()
        try:
            with self._stop.callback(self._expire):
                yield
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self.has_expired = True
        for connection in self._sockets:
            with suppress(OSError):  # closed meanwhile
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # wakes a blocked read; closing does not


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


_TIMEOUTS_PER_REQUEST = 10  # the default limit for a whole request
_MAX_REDIRECTS = 5
_REDIRECT_STATUSES = {301, 302, 303, 307, 308}


class Transport:
    """A client of httpx with the secret of the server it was opened for.

    Proxies and certificates are the machine's: httpx takes them from HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and the like.
    """

    def __init__(self, timeout: timedelta, auth: Auth, max_duration: timedelta | None = None) -> None:
        """`timeout` limits connecting and each wait for a byte, `max_duration` the whole request (by default ten time-outs)."""
        self._auth = auth
        self._deadline = Deadline((max_duration or _TIMEOUTS_PER_REQUEST * timeout).total_seconds())
        self._client = httpx.Client(
            timeout=timeout.total_seconds(),
            headers={"User-Agent": f"daycast/{__version__}"},
            follow_redirects=False,  # `_follow` does it, because the secret must not go to another host
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str]) -> Response:
        """The response to a GET, whatever its status. Raises TransientError or PermanentError if there is none."""
        try:
            with self._deadline.running():
                response = self._follow(_address(url, params), headers)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            if not self._deadline.has_expired:
                raise self._classify(error) from None
        if self._deadline.has_expired:  # without a Content-Length the cut looks like a regular end
            raise TransientError(f"was not finished after {self._deadline.limit_s:g} s, the limit for a request")
        return response

    def _follow(self, url: httpx.URL, headers: Mapping[str, str]) -> Response:
        auth, origin = self._auth, url
        for _ in range(_MAX_REDIRECTS + 1):
            with closing(self._send_one(url, headers, auth)) as response:
                if response.status_code not in _REDIRECT_STATUSES or "Location" not in response.headers:
                    return _read_response(response)
                url = _target(url, response.headers["Location"])
            if not _is_same_server(url, origin):
                auth = Auth()
                url = with_query(url, dict.fromkeys(self._auth.params))
        raise PermanentError(f"redirects more than {_MAX_REDIRECTS} times, the last to {public_url(str(url))}")

    def _send_one(self, url: httpx.URL, headers: Mapping[str, str], auth: Auth) -> httpx.Response:
        with_auth = with_query(url, auth.params)
        extensions = {"trace": self._deadline.trace}
        request = self._client.build_request(
            "GET", with_auth, headers={**headers, **auth.headers}, extensions=extensions
        )
        return self._client.send(request, stream=True)

    def _classify(self, error: httpx.TransportError | httpx.InvalidURL) -> TransientError | PermanentError:
        if isinstance(error, httpx.TimeoutException):
            seconds = self._client.timeout.read
            return TransientError(f"sent nothing for {seconds:g} s, the time-out ({type(error).__name__})")
        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            return PermanentError(f"is not a valid address ({error})")
        return TransientError(f"failed: {error or type(error).__name__}")


def public_url(url: str) -> str:
    """The address for messages: without user, password and query, which may hold secrets."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return url.partition("?")[0].rpartition("@")[2]
    plain = str(parts.copy_with(username=None, password=None, query=None, fragment=None))
    return f"{plain}?…" if parts.query else plain


def _address(url: str, params: Mapping[str, str] | None) -> httpx.URL:
    address = httpx.URL(url)
    if address.userinfo:
        raise PermanentError("has a user or password in its address; give a secret as http.credential")
    _require_web(address)
    return with_query(address, params or {})


def with_query(url: httpx.URL, params: Mapping[str, str | None]) -> httpx.URL:
    """`url` with `params` in its query, replacing those of the same name; None removes one."""
    if not params:
        return url
    others = [(name, value) for name, value in url.params.multi_items() if name not in params]
    given = [(name, value) for name, value in params.items() if value is not None]
    # every server reads a space as %20, but only some as +
    query = urlencode([*others, *given], quote_via=quote, safe=",:$()'")
    return url.copy_with(query=query.encode() if query else None)


def _target(url: httpx.URL, location: str) -> httpx.URL:
    target = url.join(location).copy_with(username=None, password=None, fragment=None)
    _require_web(target)
    return target


def _require_web(url: httpx.URL) -> None:
    if url.scheme not in {"http", "https"} or not url.host:
        raise PermanentError(f"leads to {public_url(str(url))!r}, which is neither http nor https")


def _is_same_server(url: httpx.URL, origin: httpx.URL) -> bool:
    """Whether a redirect stays at the server the secret is for; from http to https of the same host is the same server."""
    if (url.scheme, url.host, url.port) == (origin.scheme, origin.host, origin.port):
        return True
    secured = (origin.scheme, url.scheme) == ("http", "https") and (origin.port, url.port) == (None, None)
    return secured and url.host == origin.host


def _read_response(response: httpx.Response) -> Response:
    body = limited_body(response.iter_raw())
    content = decode(body, response.headers.get("Content-Encoding", "").strip().lower())
    return Response(response.status_code, dict(response.headers), content)
