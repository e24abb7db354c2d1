"""The HTTP client of all sources: patient with servers that fail for a while, exact about what they send, discreet with secrets.

The tree of what it raises: SourceError where the server is at fault or gone, ConfigError where a secret is missing.
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
from daycast.sources.http.transport import Answer, PermanentError, TransientError, backoff_s

__all__ = ["Body", "Client", "Credential", "HttpSettings"]

Read = TypeVar("Read")


@dataclass(frozen=True)
class Body:
    """What a server sent, and by which name (ETag or Last-Modified) it can be asked whether that has changed."""

    content: bytes
    validator: str | None


class Client:
    """Asks one server, politely; a context manager over one pool of connections, for one thread.

    A request is tried again after time-outs, broken connections, bodies that are cut off and answers that say "later"
    (408, 425, 429, 500, 502, 503, 504), with growing pauses. The secret goes to the host that is asked, and to no other that it
    redirects to. Raises ConfigError naming the environment variable if the secret is missing.
    """

    def __init__(
        self, settings: HttpSettings, environment: Mapping[str, str], sleep: Callable[[float], None] | None = None
    ) -> None:
        from daycast.sources.http.transport import Transport, shown  # noqa: PLC0415 (httpx only once something is asked)

        self._settings = settings
        self._key = read_auth(settings.credential, environment)
        self._exchange = Transport(settings.timeout, self._key)
        self._shown = shown
        self._sleep = find_stop().sleep if sleep is None else sleep
        self._asked_at = float("-inf")  # [s] of the monotonic clock, which only tells spans
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.callback(self._exchange.close)
        self._open.enter_context(self._key.hidden_in_logs())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def get_json(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        """What the JSON at `url` says; `params` are added to its query.

        Raises SourceError, one line: the address without its query, what happened, and how often it was tried.
        """

        def read(answer: Answer) -> Any:
            answer.require_success()
            return answer.json()

        return self._ask(url, params, {"Accept": "application/json", "Accept-Encoding": "gzip"}, read)

    def get_bytes(self, url: str, validator: str | None = None, missing_ok: bool = False) -> Body | None:
        """The body at `url`; None where it still is the one of `validator`, or where `missing_ok` and there is none (404).

        Raises SourceError as get_json does.
        """

        def read(answer: Answer) -> Body | None:
            unchanged = validator is not None and answer.status == HTTPStatus.NOT_MODIFIED
            if unchanged or (missing_ok and answer.status == HTTPStatus.NOT_FOUND):
                return None
            answer.require_success()
            return Body(answer.content, answer.headers.get("etag") or answer.headers.get("last-modified"))

        # some servers give a compressed body another ETag, and then never see that it is unchanged
        return self._ask(url, None, {"Accept-Encoding": "identity", **_condition(validator)}, read)

    def _ask(
        self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str], read: Callable[[Answer], Read]
    ) -> Read:
        attempt = 0
        while True:
            self._keep_pace()
            try:
                return read(self._exchange.get(url, params, headers))
            except TransientError as error:
                pause = self._pause(error, attempt, url)
            except PermanentError as error:
                raise self._failure(url, error, attempt) from None
            self._sleep(pause)
            attempt += 1

    def _pause(self, error: TransientError, attempt: int, url: str) -> float:
        if attempt == self._settings.retries:
            raise self._failure(url, error, attempt) from None
        try:
            return backoff_s(error, attempt, url)
        except PermanentError as impatience:
            raise self._failure(url, impatience, attempt) from None

    def _failure(self, url: str, error: Exception, attempt: int) -> SourceError:
        tried = f" (tried {attempt + 1} times)" if attempt else ""
        return SourceError(self._key.hide(f"{self._shown(url)} {error}{tried}"))

    def _keep_pace(self) -> None:
        """Wait until the next request is due."""
        early = self._asked_at + 1 / self._settings.requests_per_second - time.monotonic()
        if early > 0:
            self._sleep(early)
        self._asked_at = time.monotonic()


def _condition(validator: str | None) -> dict[str, str]:
    """The header that asks only for what has changed: RFC 9110, sections 13.1.2 and 13.1.3."""
    if validator is None:
        return {}
    is_tag = validator.startswith(('"', "W/"))
    return {"If-None-Match" if is_tag else "If-Modified-Since": validator}
