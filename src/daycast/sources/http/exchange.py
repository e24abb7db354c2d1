"""One request and its answer over httpx: time-outs, redirects and the size of the body are watched here."""

from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from urllib.parse import quote, urlencode

import httpx

from daycast import __version__
from daycast.sources.http.answer import Answer, bounded, decode
from daycast.sources.http.key import Key
from daycast.sources.http.trouble import LastingError, PassingError
from daycast.sources.http.watchdog import Watchdog

_WHOLE_IN_TIMEOUTS = 10  # how many time-outs a request may take in all, unless told otherwise: a server may drip
_MOST_REDIRECTS = 5
_ONWARD = {301, 302, 303, 307, 308}


class Exchange:
    """One client of httpx, with the key of the server it was opened for.

    Proxies and certificates are the machine's: httpx takes them from HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and the like.
    """

    def __init__(self, timeout: timedelta, key: Key, whole: timedelta | None = None) -> None:
        """whole: the most that one request may take; by default ten time-outs."""
        self._key = key
        self._watchdog = Watchdog((whole or _WHOLE_IN_TIMEOUTS * timeout).total_seconds())
        self._client = httpx.Client(
            timeout=timeout.total_seconds(),
            headers={"User-Agent": f"daycast/{__version__}"},
            follow_redirects=False,  # followed here, where it is known what may go to another host
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def get(self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str]) -> Answer:
        """The answer to a GET, whatever its status. Raises PassingError or LastingError where there is none."""
        try:
            with self._watchdog.watching():
                answer = self._follow(_address(url, params), headers)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            if not self._watchdog.has_bitten:
                raise self._trouble(error) from None
        if self._watchdog.has_bitten:  # without an announced length the cut looks like a proper end
            raise PassingError(f"was not done after {self._watchdog.limit_s:g} s, the most that a request gets")
        return answer

    def _follow(self, url: httpx.URL, headers: Mapping[str, str]) -> Answer:
        key, origin = self._key, url
        for _ in range(_MOST_REDIRECTS + 1):
            with closing(self._send(url, headers, key)) as response:
                if response.status_code not in _ONWARD or "Location" not in response.headers:
                    return _answer(response)
                url = _target(url, response.headers["Location"])
            if not _may_have_key(url, origin):
                key = Key()
                url = with_query(url, dict.fromkeys(self._key.params))
        raise LastingError(f"redirects more than {_MOST_REDIRECTS} times, the last to {shown(str(url))}")

    def _send(self, url: httpx.URL, headers: Mapping[str, str], key: Key) -> httpx.Response:
        with_key = with_query(url, key.params)
        extensions = {"trace": self._watchdog.trace}
        request = self._client.build_request("GET", with_key, headers={**headers, **key.headers}, extensions=extensions)
        return self._client.send(request, stream=True)

    def _trouble(self, error: httpx.TransportError | httpx.InvalidURL) -> PassingError | LastingError:
        if isinstance(error, httpx.TimeoutException):
            seconds = self._client.timeout.read
            return PassingError(f"gave no sign for {seconds:g} s, the time-out ({type(error).__name__})")
        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            return LastingError(f"is no address that can be asked ({error})")
        return PassingError(f"broke off: {error or type(error).__name__}")


def shown(url: str) -> str:
    """The address as errors show it: without user, password and query, where secrets may stand."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return url.partition("?")[0].rpartition("@")[2]
    plain = str(parts.copy_with(username=None, password=None, query=None, fragment=None))
    return f"{plain}?…" if parts.query else plain


def _address(url: str, params: Mapping[str, str] | None) -> httpx.URL:
    address = httpx.URL(url)
    if address.userinfo:
        raise LastingError("has a user or password in its address; give a secret as http.credential")
    _require_web(address)
    return with_query(address, params or {})


def with_query(url: httpx.URL, params: Mapping[str, str | None]) -> httpx.URL:
    """`url` with `params` in its query, in place of those of the same name; None takes one out."""
    if not params:
        return url
    others = [(name, value) for name, value in url.params.multi_items() if name not in params]
    given = [(name, value) for name, value in params.items() if value is not None]
    # a space as %20 is read by every server, as + only by those that take the query for a form
    query = urlencode([*others, *given], quote_via=quote, safe=",:$()'")
    return url.copy_with(query=query.encode() if query else None)


def _target(url: httpx.URL, location: str) -> httpx.URL:
    target = url.join(location).copy_with(username=None, password=None, fragment=None)
    _require_web(target)
    return target


def _require_web(url: httpx.URL) -> None:
    if url.scheme not in {"http", "https"} or not url.host:
        raise LastingError(f"leads to {shown(str(url))!r}, which is neither http nor https")


def _may_have_key(url: httpx.URL, origin: httpx.URL) -> bool:
    """Whether a redirect stays at the server the key is for; from http to https of the same host is the same server."""
    if (url.scheme, url.host, url.port) == (origin.scheme, origin.host, origin.port):
        return True
    secured = (origin.scheme, url.scheme) == ("http", "https") and (origin.port, url.port) == (None, None)
    return secured and url.host == origin.host


def _answer(response: httpx.Response) -> Answer:
    body = bounded(response.iter_raw())
    content = decode(body, response.headers.get("Content-Encoding", "").strip().lower())
    return Answer(response.status_code, dict(response.headers), content)
