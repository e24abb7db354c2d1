"""The HTTP client of all sources: it retries, keeps the pace, and never shows a secret.

It raises SourceError if the server is at fault or gone, ConfigError if a secret is missing.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

from daycast.errors import SourceError
from daycast.sources.batch import find_stop
from daycast.sources.http.auth import Credential, HttpSettings, read_auth
from daycast.sources.http.response import PermanentError, Response, TransientError, backoff_s

__all__ = ["Body", "Client", "Credential", "HttpSettings"]

Read = TypeVar("Read")


@dataclass(frozen=True)
class Body:
    """The body of a response, and its `validator` (ETag or Last-Modified), with which one can ask whether it has changed."""

    content: bytes
    validator: str | None


class Client:
    """Sends requests to one server; a context manager over one pool of connections, for one thread.

    A request is tried again, after growing waits, if it timed out, the connection broke, the body was cut off, or the status
    says "later" (408, 425, 429, 500, 502, 503, 504). The secret goes to the host that is asked, and to no other host that it
    redirects to. Raises ConfigError naming the environment variable if the secret is missing.
    """

    def __init__(
        self, settings: HttpSettings, environment: Mapping[str, str], sleep: Callable[[float], None] | None = None
    ) -> None:
        from daycast.sources.http.transport import Transport, public_url  # noqa: PLC0415 (imports httpx only if needed)

        self._settings = settings
        self._auth = read_auth(settings.credential, environment)
        self._transport = Transport(settings.timeout, self._auth)
        self._public_url = public_url
        self._sleep = find_stop().sleep if sleep is None else sleep
        self._last_request_s = float("-inf")  # of the monotonic clock, which only measures spans
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.callback(self._transport.close)
        self._open.enter_context(self._auth.hidden_in_logs())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def get_json(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON at `url`, parsed; `params` are added to the query.

        Raises SourceError, one line: the address without its query, what happened, and how often it was tried.
        """

        def read(response: Response) -> Any:
            response.require_success()
            return response.json()

        return self._request(url, params, {"Accept": "application/json", "Accept-Encoding": "gzip"}, read)

    def get_bytes(self, url: str, validator: str | None = None, missing_ok: bool = False) -> Body | None:
        """The body at `url`; None if it is still the one of `validator`, or if `missing_ok` and there is none (404).

        Raises SourceError as get_json does.
        """

        def read(response: Response) -> Body | None:
            unchanged = validator is not None and response.status == HTTPStatus.NOT_MODIFIED
            if unchanged or (missing_ok and response.status == HTTPStatus.NOT_FOUND):
                return None
            response.require_success()
            return Body(response.content, response.headers.get("etag") or response.headers.get("last-modified"))

        # some servers give compressed bodies another ETag, and then never answer that they are unchanged
        return self._request(url, None, {"Accept-Encoding": "identity", **_condition(validator)}, read)

    def _request(
        self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str], read: Callable[[Response], Read]
    ) -> Read:
        attempt = 0
        while True:
            self._wait_for_turn()
            try:
                return read(self._transport.get(url, params, headers))
            except TransientError as error:
                wait_s = self._backoff(error, attempt, url)
            except PermanentError as error:
                raise self._failure(url, error, attempt) from None
            self._sleep(wait_s)
            attempt += 1

    def _backoff(self, error: TransientError, attempt: int, url: str) -> float:
        if attempt == self._settings.retries:
            raise self._failure(url, error, attempt).passing() from None
        try:
            return backoff_s(error, attempt, url)
        except PermanentError as too_long:
            raise self._failure(url, too_long, attempt) from None

    def _failure(self, url: str, error: Exception, attempt: int) -> SourceError:
        tried = f" (tried {attempt + 1} times)" if attempt else ""
        return SourceError(self._auth.hide(f"{self._public_url(url)} {error}{tried}"))

    def _wait_for_turn(self) -> None:
        """Wait until the next request is allowed."""
        early = self._last_request_s + 1 / self._settings.requests_per_second - time.monotonic()
        if early > 0:
            self._sleep(early)
        self._last_request_s = time.monotonic()


def _condition(validator: str | None) -> dict[str, str]:
    """The header that asks only for what has changed: RFC 9110, sections 13.1.2 and 13.1.3."""
    if validator is None:
        return {}
    is_tag = validator.startswith(('"', "W/"))
    return {"If-None-Match" if is_tag else "If-Modified-Since": validator}
