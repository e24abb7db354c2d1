"""Under which names a server answers, and to whose pages."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from daycast.service import prefect_server
from daycast.service.prefect_server import RetryRefused, SameOriginOnly

NAMES = ["127.0.0.1", "localhost", "::1", "weather.example.org"]


def status(host: str | None, origin: str | None, path: str = "/api/flows/filter", kind: str = "http") -> int | str:
    """The status of the answer; for a websocket what was sent."""
    sent = []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    headers = [(name, value.encode()) for name, value in ((b"host", host), (b"origin", origin)) if value is not None]
    asyncio.run(SameOriginOnly(app, NAMES)({"type": kind, "path": path, "headers": headers}, None, send))
    return sent[0].get("status", sent[0]["type"])


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:4200", None),
        ("localhost:4200", "http://localhost:4200"),
        ("127.0.0.1:4200", "http://localhost:4200"),  # the page was opened under the other name of the same server
        ("[::1]:4200", "http://[::1]:4200"),
        ("weather.example.org", "https://weather.example.org"),
        ("WEATHER.example.org:8443", "https://weather.example.org:8443"),
    ],
)
def test_its_own_pages_and_programs_are_answered(host, origin):
    assert status(host, origin) == 200


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (None, None),
        ("", None),
        ("evil.example", None),
        ("evil.example:4200", "http://evil.example:4200"),
        ("127.0.0.1.evil.example", None),
        ("127.0.0.1:4200", "http://evil.example"),
        ("127.0.0.1:4200", "http://127.0.0.1:3000"),
        ("127.0.0.1:4200", "null"),
        ("127.0.0.1:4200", ""),
        ("127.0.0.1:port", None),
        ("weather.example.org", "https://weather.example.org.evil.example"),
        ("weather.example.org", "http://localhost"),
    ],
)
@pytest.mark.parametrize(("kind", "refusal"), [("http", 403), ("websocket", "websocket.close")])
def test_everybody_else_is_refused(host, origin, kind, refusal):
    assert status(host, origin, kind=kind) == refusal


def test_no_page_of_others_shows_one_of_ours_in_a_frame():
    sent = []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/", "headers": [(b"host", b"localhost")]}
    asyncio.run(SameOriginOnly(app, NAMES)(scope, None, send))
    assert {(b"a", b"b"), (b"x-frame-options", b"DENY")} <= set(sent[0]["headers"])


def shown(path: str, report: Path | None, authorization: str | None = None) -> tuple[int, bytes]:
    """Status and body of the answer; 418 if the request goes on to Prefect."""
    sent = []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), *([(b"authorization", authorization.encode())] if authorization else [])]
    scope = {"type": "http", "path": path, "headers": headers}
    asyncio.run(SameOriginOnly(app, NAMES, report, "daycast:pass")(scope, None, send))
    assert {(b"x-frame-options", b"DENY")} <= set(sent[0]["headers"])
    return sent[0]["status"], sent[1]["body"]


KNOWS = "Basic ZGF5Y2FzdDpwYXNz"  # daycast:pass


def test_the_report_is_shown_to_who_knows_the_password_in_a_frame_that_can_only_draw(tmp_path):
    report = tmp_path / "report.html"
    status, page = shown("/report", report)
    assert status == 200
    assert b'"sandbox", "allow-scripts")' in page
    assert shown("/report/file", report, KNOWS)[0] == 404
    report.write_text("<p>today")
    assert shown("/report/file", report, KNOWS) == (200, b"<p>today")
    for wrong in (None, "Basic ZGF5Y2FzdDo=", "pass", "B\u00e4sic"):
        assert shown("/report/file", report, wrong)[0] == 401
    assert b"today" not in shown("/report", report)[1]


def test_a_server_without_a_report_leaves_its_address_to_prefect():
    assert shown("/report", None)[0] == 418
    assert shown("/report/file", None, KNOWS)[0] == 418


def asked(refusals: int, path: str = "/api/flow_runs/", length: str = "7") -> tuple[list, list[bytes]]:
    """Status and body of the answer if the database refuses so often, and the request's body as each try reads it."""
    bodies, sent = [], []

    async def app(scope, receive, send):
        scope["seen"] = True
        parts = [await receive()]
        while parts[-1]["more_body"]:
            parts.append(await receive())
        bodies.append(b"".join(part["body"] for part in parts))
        is_refused = len(bodies) <= refusals
        await send({"type": "http.response.start", "status": 503 if is_refused else 200, "headers": []})
        await send({"type": "http.response.body", "body": b"said"})
        if is_refused and "ready" not in path and length == "7":
            raise OSError("database is locked")  # as Starlette does after the answer

    request = iter([(b"one ", True), (b"two", False)])

    async def receive():
        body, more = next(request)
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"content-length", length.encode())]}
    asyncio.run(RetryRefused(app)(scope, receive, send))
    assert "seen" not in scope or len(bodies) == 1
    return [message.get("status", message.get("body")) for message in sent], bodies


def test_a_request_that_the_database_refuses_is_tried_again(monkeypatch):
    monkeypatch.setattr(prefect_server, "_BETWEEN_TRIES_S", 0)
    monkeypatch.setattr(prefect_server, "_RETRY_FOR_S", 600)
    assert asked(refusals=3) == ([200, b"said"], [b"one two"] * 4)


def test_in_the_end_the_client_is_told(monkeypatch):
    monkeypatch.setattr(prefect_server, "_RETRY_FOR_S", 0.1)
    answer, bodies = asked(refusals=10**6)
    assert answer == [503, b"said"]
    assert set(bodies) == {b"one two"}


@pytest.mark.parametrize(
    ("path", "length"), [("/api/ready", "7"), ("/api/flow_runs/", "1048577"), ("/api/flow_runs/", "-1")]
)
def test_whoever_watches_and_large_requests_are_answered_at_once(path, length):
    assert asked(1, path, length) == ([503, b"said"], [b"one two"])


def test_an_error_without_an_answer_stays_one():
    async def app(_scope, _receive, _send):
        raise OSError("away")

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    with pytest.raises(OSError, match="away"):
        asyncio.run(RetryRefused(app)({"type": "http", "path": "/api/flows/", "headers": []}, receive, None))


def test_the_server_retries_what_clients_ask_and_what_it_asks_itself(tmp_path):
    code = """
import uvicorn
from daycast.service.prefect_server import main
def run(server, sockets):
    from prefect.server.api.server import create_app
    print(type(create_app().middleware_stack).__name__, server.config.app._app is create_app())
uvicorn.Server.run = run
main(["--port", "0"])
"""
    secret = {"PREFECT_SERVER_API_AUTH_STRING": "nobody:knows", "PREFECT_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | secret, capture_output=True, text=True, check=True
    )
    assert done.stdout == "RetryRefused True\n"
