"""One HTTP request over httpx: `Deadline` limits the whole of it, `Transport` sends it and follows redirects.

Import this only when something is requested: httpx takes a tenth of a second.
"""

import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from daycast import __version__
from daycast.sources.batch import find_stop
from daycast.sources.http.auth import Auth
from daycast.sources.http.response import PermanentError, Response, TransientError, decode, limited_body


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


_TIMEOUTS_PER_REQUEST = 10  # the default limit for a whole request
_MAX_REDIRECTS = 5
_REDIRECT_STATUSES = {301, 302, 303, 307, 308}


@lru_cache(maxsize=1)
def _certificates(_paths: ssl.DefaultVerifyPaths) -> ssl.SSLContext:
    """The machine's certificates, as httpx finds them: read once, for reading takes longer than most requests do."""
    return httpx.create_ssl_context()


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
            verify=_certificates(ssl.get_default_verify_paths()),
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
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error))  # the words after the number say it
        return TransientError(f"failed: {reason or type(error).__name__}")


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
