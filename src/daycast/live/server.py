"""Talk to a Prefect server over its HTTP interface, without importing Prefect."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from daycast.errors import ConfigError
from daycast.loopback import open_url

WAREHOUSE_SLOT = "warehouse"  # the global concurrency limit that a task holds while it uses the warehouse
_TIMEOUT_S = 90  # longer than the 60 s for which the server itself waits for a locked SQLite file
_FAULT, _BUSY, _CONFLICT = 500, 503, 409
_TRIES = 20
_PAUSE_S = 1.0  # between tries


class RefusedError(Exception):
    """The server answered with an error status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status, self.text = status, text


def call(url: str, path: str, body: object = None, method: str | None = None) -> Any:
    """GET `path` below the server's `url`, or POST `body` to it, or what `method` names; returns the JSON answer.

    A server on SQLite is often locked for a while. One that says it is busy (503) did nothing and is asked again, a limited
    number of times; after any other 5xx only reading is repeated, because the change may have been made.

    Raises RefusedError for an error status, ConfigError where nobody answers.
    """
    reads = method is None and (body is None or path.endswith("/filter"))
    for _ in range(_TRIES - 1):
        try:
            return _call_once(url, path, body, method)
        except RefusedError as error:
            if error.status != _BUSY and not (reads and error.status >= _FAULT):
                raise
            time.sleep(_PAUSE_S)
    return _call_once(url, path, body, method)


def _call_once(url: str, path: str, body: object, method: str | None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - as configured
    try:
        with open_url(request, _TIMEOUT_S) as answer:
            return json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        raise RefusedError(error.code, error.read().decode(errors="replace")) from None
    except OSError as error:
        raise ConfigError(f"no Prefect server answers at {url} ({error}): start one with `daycast up`") from None


def post_unless_there(url: str, path: str, body: object) -> None:
    """Create something; that it is there already is as good."""
    try:
        call(url, path, body)
    except RefusedError as error:
        if error.status != _CONFLICT:
            raise
