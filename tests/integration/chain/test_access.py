"""Nobody but who knows the password gets anything from a server that daycast starts: no page of others, no other user."""

import base64
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from daycast.service.access import access_settings, entry_address, keep_auth, read_auth
from daycast.service.deploy import create_server_objects
from daycast.service.ephemeral_server import EphemeralServer
from daycast.service.server import RefusedError, Server

pytestmark = pytest.mark.slow

SHUT = {401, 403}
FOREIGN = "evil.example"
OPEN = {"/health", "/ready"}  # which say nothing but that it runs
CONTENT_TYPES = ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]


class Caller:
    """Sends requests as a browser would that a page of others told to."""

    def __init__(self, url: str, auth: str) -> None:
        self.netloc = urlsplit(url).netloc
        self._basic = f"Basic {base64.b64encode(auth.encode()).decode()}"
        self._connection = http.client.HTTPConnection(self.netloc, timeout=600)

    def status(self, method: str, path: str, headers: dict[str, str | None], *, knows: bool = False) -> int:
        """The status of the answer; headers of None are not sent; with the password where the caller knows it."""
        sent = {"Host": self.netloc, **({"Authorization": self._basic} if knows else {}), **headers}
        self._connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        body = b"{}" if method in {"POST", "PUT", "PATCH"} else b""
        for name, value in {**sent, "Content-Length": str(len(body))}.items():
            if value is not None:
                self._connection.putheader(name, value)
        self._connection.endheaders(body)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status


@pytest.fixture(scope="module")
def server(environment) -> Server:
    return Server(environment["PREFECT_API_URL"], environment["PREFECT_API_AUTH_STRING"])


@pytest.fixture(scope="module")
def caller(server) -> Caller:
    return Caller(server.url, server.auth)


@pytest.fixture(scope="module")
def routes(server) -> list[tuple[str, str]]:
    """Method and path of everything that the server can be asked for."""
    found = list(_routes(server.call("/openapi.json")))
    assert ("POST", "/api/block_documents/filter") in found
    return found


def _routes(description: dict) -> Iterator[tuple[str, str]]:
    for path, methods in description["paths"].items():
        if path.removeprefix("/api") not in OPEN:
            yield from (
                (method.upper(), "/api" + re.sub(r"{[^}]*}", str(uuid4()), path.removeprefix("/api")))
                for method in methods
            )


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_every_route_is_shut_to_who_has_no_password(caller, routes, content_type):
    answers = {(method, path): caller.status(method, path, {"Content-Type": content_type}) for method, path in routes}
    assert {route: status for route, status in answers.items() if status not in SHUT} == {}


@pytest.mark.parametrize(
    "header",
    [
        {"Origin": f"http://{FOREIGN}"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},  # another server of this machine
        {"Host": FOREIGN},  # a name that its owner has resolve to 127.0.0.1
        {"Host": ""},
        {"Host": FOREIGN, "Origin": f"http://{FOREIGN}"},
    ],
    ids=str,
)
def test_every_route_is_shut_to_pages_of_others_even_with_the_password(caller, routes, header):
    answers = {(method, path): caller.status(method, path, header, knows=True) for method, path in routes}
    assert {route: status for route, status in answers.items() if status not in SHUT} == {}


def test_pages_of_others_are_told_nothing_by_a_preflight(caller):
    headers = {"Origin": f"http://{FOREIGN}", "Access-Control-Request-Method": "POST"}
    assert caller.status("OPTIONS", "/api/flows/filter", headers, knows=True) in SHUT


def test_what_changes_something_needs_a_token_besides_the_password(caller):
    assert caller.status("POST", "/api/flows/", {"Content-Type": "text/plain"}, knows=True) == 403


@pytest.mark.parametrize("path", ["/api/events/in", "/api/events/out", "/api/logs/out"])
@pytest.mark.parametrize("headers", [{}, {"Origin": f"http://{FOREIGN}"}, {"Host": FOREIGN}], ids=str)
def test_no_stream_opens_without_the_password(caller, path, headers):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = base64.b64encode(b"0123456789abcdef").decode()
    assert Caller(f"http://{caller.netloc}", "nobody:knows").status("GET", path, {**upgrade, **headers}) in SHUT


def test_who_watches_sees_that_it_runs_under_any_name(caller):
    assert [caller.status("GET", f"/api{path}", {"Host": "10.0.0.7:4200"}) for path in sorted(OPEN)] == [200, 200]


def test_its_own_pages_and_programs_get_in(caller):
    port = caller.netloc.rpartition(":")[2]
    for origin in (None, f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
        assert caller.status("GET", "/api/admin/version", {"Origin": origin}, knows=True) == 200
    assert caller.status("GET", "/enter", {}) == 200


def test_no_run_sets_the_command_or_the_environment_of_its_worker(server):
    server.create_unless_there("/work_pools/", {"name": "gpu", "type": "process"})  # as an earlier version made it
    create_server_objects(server, None)
    flow = server.call("/flows/", {"name": "any"})["id"]
    deployment = {"name": "any", "flow_id": flow, "work_pool_name": "gpu", "entrypoint": "any.any", "path": "."}
    deployed = server.call("/deployments/", deployment)["id"]
    for variables in ({"command": "sh -c true"}, {"env": {"PATH": "/nowhere"}}, {"working_dir": "/"}):
        run = {"parameters": {}, "enforce_parameter_schema": False, "job_variables": variables}
        with pytest.raises(RefusedError, match=r"^4(09|22)"):
            server.call(f"/deployments/{deployed}/create_flow_run", run)
    for pool in ("cpu", "gpu"):
        assert "{{" not in json.dumps(server.call(f"/work_pools/{pool}")["base_job_template"]["job_configuration"])


def test_what_a_server_keeps_is_for_its_user_alone(tmp_path: Path):
    home = tmp_path / "prefect"
    home.mkdir(mode=0o755)
    auth = keep_auth(home)
    assert (auth, auth) == (keep_auth(home), read_auth(home))
    assert [path.stat().st_mode & 0o777 for path in (home, home / "auth")] == [0o700, 0o600]
    assert keep_auth(tmp_path / "another") != auth


def test_each_command_has_a_password_of_its_own(environment, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("daycast.service.ephemeral_server.subprocess.Popen", lambda *_, env, **__: seen.append(env))
    servers = [EphemeralServer(tmp_path / name) for name in ("a", "b")]
    passwords = [each.environment["PREFECT_API_AUTH_STRING"] for each in servers]
    assert len({*passwords, environment["PREFECT_API_AUTH_STRING"]}) == 3
    for env, password in zip(seen, passwords, strict=True):
        assert env.items() >= access_settings(password).items()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_the_address_for_a_browser_holds_the_password_where_it_is_not_sent():
    address = urlsplit(entry_address("http://127.0.0.1:4200/api", "daycast:secret"))
    assert (address.netloc, address.path, address.query) == ("127.0.0.1:4200", "/enter", "")
    assert base64.b64decode(address.fragment) == b"daycast:secret"
