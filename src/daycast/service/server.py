"""A client of the Prefect server's HTTP interface that does not import Prefect, which takes seconds.

`Server` makes the calls. `find_server` finds the password. `crash_orphaned_runs` and `free_slots` clear what killed processes
leave behind: runs that seem to run, and slots that seem to be taken. `LostSlots` does the latter while runs are at work.
"""

import base64
import json
import logging
import os
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from uuid import uuid4

from daycast.errors import ConfigError
from daycast.loopback import open_url
from daycast.service.access import read_auth
from daycast.service.supervisor import read_state

WAREHOUSE_SLOT = "warehouse"  # the global concurrency limit that a task holds while it uses the warehouse
_ACTIVE = ["RUNNING", "PENDING", "CANCELLING"]  # states of runs that seem to run
_TIMEOUT_S = 90  # longer than the 60 s for which the server itself waits for a locked SQLite file
_CHECK_S = 30  # in which a server must say that it is one
_LONGEST_ANSWER = 200  # characters of a wrong answer that are quoted
_TRIES = 20
_BACKOFF_S = 1.0  # between tries
_CHECK_SLOTS_EVERY_S = 60
_log = logging.getLogger("daycast")


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
        """GET `path` below the server's url, or POST `body` to it, or use `method`; returns the JSON answer.

        A server on SQLite is often locked for a while. If it says that it is busy (503), it did nothing, and the call is
        repeated a limited number of times. After any other 5xx only calls that read are repeated, because a change may have
        been made.

        Raises RefusedError for an error status, ConfigError if nobody answers or the password is wrong.
        """
        reads = method is None and (body is None or path.endswith("/filter"))
        for _ in range(_TRIES - 1):
            try:
                return self._call_once(path, body, method)
            except RefusedError as error:
                is_fault = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
                if error.status != HTTPStatus.SERVICE_UNAVAILABLE and not (reads and is_fault):
                    raise
                time.sleep(_BACKOFF_S)
        return self._call_once(path, body, method)

    def check(self) -> None:
        """Raise ConfigError unless a Prefect server answers here within half a minute. This needs no password."""
        found: list[object] = []

        def ask() -> None:
            try:
                found.append(self._send("/health", None, None))
            except (RefusedError, ConfigError, ValueError, HTTPException) as error:
                found.append(error)

        asking = threading.Thread(target=ask, daemon=True)  # no time-out of urllib bounds a whole request
        asking.start()
        asking.join(_CHECK_S)
        answer = found[0] if found else f"no answer within {_CHECK_S} s"
        if answer is not True:
            said = f"no Prefect server answers at {self.url}"
            raise (
                answer if isinstance(answer, ConfigError) else ConfigError(f"{said} ({str(answer)[:_LONGEST_ANSWER]})")
            )

    def is_up(self, timeout_s: float = 5.0) -> bool:
        """Whether the server answers within `timeout_s` seconds."""
        try:
            open_url(urllib.request.Request(f"{self.url}/health"), timeout_s).close()  # noqa: S310 - as configured
        except OSError:
            return False
        return True

    def create_unless_there(self, path: str, body: object) -> None:
        """POST `body`; does nothing if the object exists already (409)."""
        try:
            self.call(path, body)
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise

    def _call_once(self, path: str, body: object, method: str | None) -> Any:
        """The answer. If the server refuses for lack of a fresh CSRF token, it did nothing: fetch a token and send again."""
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
    """The server at `url` with its password: from the folder `home` if `daycast up` runs it there, else from the environment."""
    is_local = (read_state(home) or {}).get("url") == url
    return Server(url, read_auth(home) if is_local else os.environ.get("PREFECT_API_AUTH_STRING"))


def crash_orphaned_runs(server: Server, pool: str | None = None) -> int:
    """Set every active run (of `pool`, or of all pools) to crashed, which frees its slots; returns the number of runs.

    Call it only while no worker (of that pool) can run anything.
    """
    active: dict[str, Any] = {"flow_runs": {"state": {"type": {"any_": _ACTIVE}}}}
    if pool is not None:
        active["work_pools"] = {"name": {"any_": [pool]}}
    crashed = {"type": "CRASHED", "name": "Crashed", "message": "The process that ran it was killed."}
    runs = server.call("/flow_runs/filter", active)
    for run in runs:
        server.call(f"/flow_runs/{run['id']}/set_state", {"state": crashed})
    return len(runs)


def free_slots(server: Server) -> None:
    """Free every slot; call it only while nothing runs.

    A server that is killed after it granted a slot and before it stored the lease would never free that slot.
    """
    for limit in server.call("/v2/concurrency_limits/filter", {}):
        if limit["active_slots"]:
            server.call(f"/v2/concurrency_limits/{limit['id']}", {"active_slots": 0}, "PATCH")


class LostSlots:
    """Frees the slots of a server for which no lease stands in the folder `leases`, where it keeps them.

    A server whose disk is full grants a slot and cannot store the lease, so it would never free that slot, and every run would
    wait for it. A slot counts as lost if it was so at two checks.
    """

    def __init__(self, server: Server, leases: Path) -> None:
        self._server, self._leases = server, leases
        self._checked_s: float | None = None
        self._lost: set[str] = set()  # limits, at the last check

    def update(self, now_s: float) -> None:
        """Look for lost slots, at most once a minute of a clock that nobody sets; if the server is busy, at a later call."""
        if self._checked_s is not None and now_s - self._checked_s < _CHECK_SLOTS_EVERY_S:
            return
        self._checked_s = now_s
        if not self._server.is_up():  # it would keep the supervisor waiting, which has to restart it
            return
        with suppress(RefusedError, ConfigError, OSError, ValueError, TypeError, KeyError):
            held, lost = self._count_leased(), set[str]()
            for limit in self._server.call("/v2/concurrency_limits/filter", {}):
                if limit["active_slots"] <= held[limit["id"]]:
                    continue
                if limit["id"] in self._lost:
                    self._server.call(
                        f"/v2/concurrency_limits/{limit['id']}", {"active_slots": held[limit["id"]]}, "PATCH"
                    )
                    _log.warning("the slot %s was lost, and is free again", limit["name"])
                else:
                    lost.add(limit["id"])
            self._lost = lost

    def _count_leased(self) -> Counter[str]:
        """How many slots of each limit are leased."""
        held: Counter[str] = Counter()
        for file in self._leases.glob("*-*.json"):
            lease = json.loads(file.read_text(encoding="utf-8"))
            for limit in lease["resource_ids"]:
                held[limit] += (lease["metadata"] or {}).get("slots", 1)
        return held
