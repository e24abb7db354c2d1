"""Prefect's server, closed to other web pages: `python -m daycast.service.prefect_server [--host H] [--port N] [--name NAME …]`.

Any page in a browser can send requests to a server on loopback, and a page whose own name resolves to 127.0.0.1 (DNS rebinding)
can read the answers too. So this server asks for a password (PREFECT_SERVER_API_AUTH_STRING), answers only under its own names,
and only requests from its own pages or from programs. It does not start without a password.

`SameOriginOnly` checks each request, `RetryRefused` tries one again that the database refused, and `main` serves. Beside
Prefect's pages stand one that signs a browser in, and the report, to which the summaries of runs link. It is shown in a frame
that can only draw, because its texts come from the sources.
"""

import argparse
import asyncio
import base64
import hmac
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ENTRY = "/enter"
REPORT, _REPORT_FILE = "/report", "/report/file"
_OPEN = ("/api/health", "/api/ready")  # answered to everybody; they only say that the server runs
_RETRY_FOR_S, _BETWEEN_TRIES_S = 1.0, 0.05
_LARGEST_RETRIED = 2**20  # bytes of a body
_STOP_S = 5.0  # the server may take so long to end after its starter has ended
_FRAMING = [(b"x-frame-options", b"DENY"), (b"content-security-policy", b"frame-ancestors 'none'")]
_ENTRY_PAGE = b"""<!doctype html><meta charset="utf-8"><title>daycast</title><p id="said">&hellip;</p><script>
const auth = location.hash.slice(1)
fetch("/api/admin/version", {headers: {Authorization: `Basic ${auth}`}}).then(answer => {
  if (answer.ok) { localStorage.setItem("prefect-password", auth); location.replace("/") }
  else document.getElementById("said").textContent = "This address is not valid any more: `daycast up` prints the new one."
})
</script>"""
_REPORT_PAGE = b"""<!doctype html><meta charset="utf-8"><title>daycast: report</title>
<style>html, body, iframe { margin: 0; width: 100%; height: 100%; border: 0 }</style><p id="said">&hellip;</p><script>
const said = document.getElementById("said")
fetch("/report/file", {headers: {Authorization: `Basic ${localStorage.getItem("prefect-password")}`}}).then(async answer => {
  if (answer.ok) {
    const frame = document.createElement("iframe")
    frame.setAttribute("sandbox", "allow-scripts")
    frame.srcdoc = await answer.text()
    document.body.replaceChildren(frame)
  } else said.textContent = answer.status == 404 ? "There is no report yet: `daycast report` writes it."
    : "Sign in first: `daycast up` prints the address."
})
</script>"""
_HTML = b"text/html; charset=utf-8"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def bind(host: str, port: int) -> socket.socket:
    """A listening socket for a server; from now on nobody else can take its port. Raises OSError if the port is not free."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier server may linger
        bound.bind((host, port))
        bound.listen()
    except OSError:
        bound.close()
        raise
    return bound


class SameOriginOnly:
    """An ASGI application that answers only under its own names, and only requests from its own pages or from programs.

    report: the file of the report page, shown to who knows `auth` (user:password).
    """

    def __init__(self, app: App, names: Iterable[str], report: Path | None = None, auth: str = "") -> None:
        self._app, self._names = app, frozenset(name.lower() for name in names)
        self._report, self._basic = report, b"Basic " + base64.b64encode(auth.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an allowed request on, answer 403 to all others, and serve the page that signs a browser in."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in _OPEN):
            await self._app(scope, receive, send)
        elif not self._is_allowed(_header(scope, b"host"), _header(scope, b"origin")):
            await _refuse(scope, send)
        elif scope["type"] == "http" and scope["path"] == ENTRY:
            await _answer(send, 200, _HTML, _ENTRY_PAGE)
        elif self._report and scope["type"] == "http" and scope["path"] == REPORT:
            await _answer(send, 200, _HTML, _REPORT_PAGE)
        elif self._report and scope["type"] == "http" and scope["path"] == _REPORT_FILE:
            await self._send_report(self._report, _header(scope, b"authorization") or "", send)
        else:
            await self._app(scope, receive, _with_headers(send))

    async def _send_report(self, report: Path, authorization: str, send: Send) -> None:
        if not hmac.compare_digest(authorization.encode(), self._basic):
            await _answer(send, 401, b"text/plain", b"The report needs the password of this server.\n")
            return
        try:
            await _answer(send, 200, _HTML, await asyncio.to_thread(report.read_bytes))
        except OSError:
            await _answer(send, 404, b"text/plain", b"There is no report yet.\n")

    def _is_allowed(self, host: str | None, origin: str | None) -> bool:
        """Whether the host is a name of this server, and the origin, which browsers send for pages, is the same host."""
        asked = _name_and_port(f"//{host}")
        if asked is None or asked[0] not in self._names:
            return False
        if origin is None:
            return True
        page = _name_and_port(origin)
        both_loopback = page is not None and page[0] in LOOPBACK and asked[0] in LOOPBACK
        return page == asked or (both_loopback and page is not None and page[1] == asked[1])


class RetryRefused:
    """An ASGI application that tries a request again for a second if the database refused it, before the client is told.

    SQLite refuses a transaction at once, whatever its timeout, if another one has written since it first read. Prefect undoes it
    and answers 503, and its client asks again after two seconds: several times in an hour's runs.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back. A large request, which would have to be kept, is tried once."""
        if scope["type"] != "http" or scope["path"] in _OPEN or not _is_small(scope):
            await self._app(scope, receive, send)
            return
        request, until = [await receive()], time.monotonic() + _RETRY_FOR_S
        while request[-1].get("more_body"):
            request.append(await receive())
        while refusal := await self._try(scope, request, receive, send):
            if time.monotonic() > until:  # not before the try: SQLite may have waited for a minute
                for message in refusal:
                    await send(message)
                return
            await asyncio.sleep(_BETWEEN_TRIES_S)

    async def _try(self, scope: Scope, request: Sequence[Scope], receive: Receive, send: Send) -> list[Scope]:
        """Send the answer to a request, unless it is 503: that is returned."""
        refusal, left = list[Scope](), iter(request)

        async def receive_again() -> Scope:
            message = next(left, None)
            return await receive() if message is None else message

        async def send_unless_refused(message: Scope) -> None:
            if refusal or message.get("status") == HTTPStatus.SERVICE_UNAVAILABLE:
                refusal.append(message)
            else:
                await send(message)

        try:
            await self._app(dict(scope), receive_again, send_unless_refused)
        except Exception:  # Starlette raises it again once it has answered
            if not refusal:
                raise
        return refusal


def _is_small(scope: Scope) -> bool:
    """Whether the body of a request has at most so many bytes, or none."""
    length = (_header(scope, b"content-length") or "0").encode()
    return _header(scope, b"transfer-encoding") is None and length.isdigit() and int(length) <= _LARGEST_RETRIED


def _name_and_port(url: str) -> tuple[str, int | None] | None:
    """Host name and port of a URL. The port is None if the URL has none; browsers leave the usual port out of both headers."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (name, port) if name else None


def _header(scope: Scope, name: bytes) -> str | None:
    values = [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
    return ",".join(values) if values else None  # two values joined match no name of this server


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await _answer(
            send, 403, b"text/plain", b"This server answers only under its own names, and only its own pages.\n"
        )


async def _answer(send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *_FRAMING,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    """Add headers to each response that forbid other pages to show it in a frame (clickjacking)."""

    async def add(message: Scope) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_FRAMING]
        await send(message)

    return add


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or with --end-with-stdin until standard input closes. Exits if there is no password."""
    args = _parse(arguments)
    auth = os.environ.get("PREFECT_SERVER_API_AUTH_STRING")
    if not auth:
        sys.exit("daycast: the server has no password: set PREFECT_SERVER_API_AUTH_STRING to user:password")
    listening = socket.socket(fileno=args.socket) if args.socket is not None else _listen(args.host, args.port)
    port = listening.getsockname()[1]
    os.environ["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] = "true"
    origins = [f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}" for name in LOOPBACK]
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = ",".join(origins)
    if args.end_with_stdin:
        threading.Thread(target=_end_with_starter, daemon=True).start()
    import uvicorn  # only now: Prefect reads the environment when it is imported
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    app = create_app(final=True)
    app.middleware_stack = RetryRefused(
        app.build_middleware_stack()
    )  # the server's own requests, for automations, pass it too
    api = get_current_settings().server.api
    config = uvicorn.Config(
        SameOriginOnly(app, [*LOOPBACK, *args.name], args.report, auth),
        timeout_keep_alive=api.keepalive_timeout,
        log_level="warning",
    )
    uvicorn.Server(config).run(sockets=[listening])


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m daycast.service.prefect_server", description="Serve Prefect's API and pages."
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen at (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=4200, metavar="N", help="port to listen at (default 4200)")
    parser.add_argument("--socket", type=int, metavar="FD", help="inherited and bound socket to listen at instead")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input closes")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="host name under which clients reach it, beside those of loopback; may be repeated",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help=f"the report page to show at {REPORT}")
    return parser.parse_args(arguments)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
    except OSError as error:
        sys.exit(f"daycast: cannot listen at {host}:{port}: {error.strerror}; choose another with --port")


def _end_with_starter() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_S)
    os._exit(1)


if __name__ == "__main__":
    main()
