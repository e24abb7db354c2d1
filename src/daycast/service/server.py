"""What killed processes leave behind on the server: runs that seem to run, and slots that seem to be held."""

import base64
import json
import os
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

from daycast.errors import ConfigError
from daycast.loopback import open_url
from daycast.service.access import read_auth
from daycast.service.supervisor import read_state

# Talk to a Prefect server over its HTTP interface, without importing Prefect.


WAREHOUSE_SLOT = "warehouse"  # the global concurrency limit that a task holds while it uses the warehouse
_TIMEOUT_S = 90  # longer than the 60 s for which the server itself waits for a locked SQLite file
_TRIES = 20
_PAUSE_S = 1.0  # between tries


class RefusedError(Exception):
    """The server answered with an error status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status, self.text = status, text


class Server:
    """A Prefect server: its `url`, which ends in /api, and the `user:password` that it asks for, if any."""

    def __init__(self, url: str, auth: str | None = None) -> None:
        self.url, self.auth = url, auth
        self._client, self._csrf_token = uuid4().hex, ""
        self._headers = {"Content-Type": "application/json"}
        if auth:
            self._headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"

    def call(self, path: str, body: object = None, method: str | None = None) -> Any:
        """GET `path` below the server's url, or POST `body` to it, or what `method` names; returns the JSON answer.

        A server on SQLite is often locked for a while. One that says it is busy (503) did nothing and is asked again, a limited
        number of times; after any other 5xx only reading is repeated, because the change may have been made.

        Raises RefusedError for an error status, ConfigError where nobody answers or the password is wrong.
        """
        reads = method is None and (body is None or path.endswith("/filter"))
        for _ in range(_TRIES - 1):
            try:
                return self._call_once(path, body, method)
            except RefusedError as error:
                is_fault = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
                if error.status != HTTPStatus.SERVICE_UNAVAILABLE and not (reads and is_fault):
                    raise
                time.sleep(_PAUSE_S)
        return self._call_once(path, body, method)

    def is_up(self, timeout_s: float = 5.0) -> bool:
        """Whether it answers by then."""
        try:
            open_url(urllib.request.Request(f"{self.url}/health"), timeout_s).close()  # noqa: S310 - as configured
        except OSError:
            return False
        return True

    def create_unless_there(self, path: str, body: object) -> None:
        """POST `body`; that it exists already is as good."""
        try:
            self.call(path, body)
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise

    def _call_once(self, path: str, body: object, method: str | None) -> Any:
        """The answer. What the server refuses for want of a fresh CSRF token was not carried out, and is sent again with one."""
        try:
            return self._send(path, body, method)
        except RefusedError as error:
            if error.status != HTTPStatus.FORBIDDEN or "CSRF" not in error.text:
                raise
        self._csrf_token = self._send(f"/csrf-token?client={self._client}", None, None)["token"]
        return self._send(path, body, method)

    def _send(self, path: str, body: object, method: str | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = dict(self._headers)
        if self._csrf_token:
            headers |= {"Prefect-Csrf-Token": self._csrf_token, "Prefect-Csrf-Client": self._client}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)  # noqa: S310 - as configured
        try:
            with open_url(request, _TIMEOUT_S) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.UNAUTHORIZED:
                raise ConfigError(
                    f"the Prefect server at {self.url} asks for a password: set PREFECT_API_AUTH_STRING to its user:password"
                ) from None
            raise RefusedError(error.code, error.read().decode(errors="replace")) from None
        except OSError as error:
            raise ConfigError(
                f"no Prefect server answers at {self.url} ({error}): start one with `daycast up`"
            ) from None


def find_server(home: Path, url: str) -> Server:
    """The server at `url`, with the password that `home` holds where its supervisor runs that server, else the environment's."""
    is_here = (read_state(home) or {}).get("url") == url
    return Server(url, read_auth(home) if is_here else os.environ.get("PREFECT_API_AUTH_STRING"))


_AT_WORK = ["RUNNING", "PENDING", "CANCELLING"]


def crash_orphaned_runs(server: Server, pool: str | None = None) -> int:
    """Say of every run that seems to be at work (of `pool`) that it crashed, which frees what it holds; returns how many.

    Call it only where no worker (of that pool) can be at work.
    """
    active: dict[str, Any] = {"flow_runs": {"state": {"type": {"any_": _AT_WORK}}}}
    if pool is not None:
        active["work_pools"] = {"name": {"any_": [pool]}}
    crashed = {"type": "CRASHED", "name": "Crashed", "message": "What ran it was killed."}
    runs = server.call("/flow_runs/filter", active)
    for run in runs:
        server.call(f"/flow_runs/{run['id']}/set_state", {"state": crashed})
    return len(runs)


def free_slots(server: Server) -> None:
    """Give back every slot; call it only where nobody is at work.

    A server killed between taking a slot and noting until when would otherwise never give it back.
    """
    for limit in server.call("/v2/concurrency_limits/filter", {}):
        if limit["active_slots"]:
            server.call(f"/v2/concurrency_limits/{limit['id']}", {"active_slots": 0}, "PATCH")
