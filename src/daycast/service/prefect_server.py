"""Prefect's server, closed to other web pages: `python -m daycast.service.prefect_server [--host H] [--port N] [--name NAME …]`.

Any page in a browser can send requests to a server on loopback, and a page that has its own name resolve to 127.0.0.1 reads the
answers too. So this server asks for a password (PREFECT_SERVER_API_AUTH_STRING), answers only under its own names, and only
requests from its own pages or from programs. It does not start without a password.
"""

import argparse
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ENTRY = "/enter"
_OPEN = ("/api/health", "/api/ready")  # which say nothing but that it runs, to whoever watches over it
_PATIENCE_S = 5.0  # for the server to end in order, once its starter has ended
_FRAMING = [(b"x-frame-options", b"DENY"), (b"content-security-policy", b"frame-ancestors 'none'")]
_ENTRY_PAGE = b"""<!doctype html><meta charset="utf-8"><title>daycast</title><p id="said">&hellip;</p><script>
const auth = location.hash.slice(1)
fetch("/api/admin/version", {headers: {Authorization: `Basic ${auth}`}}).then(answer => {
  if (answer.ok) { localStorage.setItem("prefect-password", auth); location.replace("/") }
  else document.getElementById("said").textContent = "This address is not valid any more: `daycast up` prints the new one."
})
</script>"""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def bind(host: str, port: int) -> socket.socket:
    """A socket that a server can listen at; nobody else can take its port from now on. Raises OSError."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a former server may linger
        bound.bind((host, port))
        bound.listen()
    except OSError:
        bound.close()
        raise
    return bound


class SameOriginOnly:
    """An ASGI application that answers only under its own names, and only requests of its own pages or of programs."""

    def __init__(self, app: App, names: Iterable[str]) -> None:
        self._app, self._names = app, frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what is allowed, answer 403 to what is not, and the page of entry to who asks for it."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in _OPEN):
            await self._app(scope, receive, send)
        elif not self._is_allowed(_header(scope, b"host"), _header(scope, b"origin")):
            await _refuse(scope, send)
        elif scope["type"] == "http" and scope["path"] == ENTRY:
            await _answer(send, 200, b"text/html; charset=utf-8", _ENTRY_PAGE)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _is_allowed(self, host: str | None, origin: str | None) -> bool:
        """Whether the host is one of ours, and the origin, which browsers name for pages, is that host."""
        ours = _name_and_port(f"//{host}")
        if ours is None or ours[0] not in self._names:
            return False
        if origin is None:
            return True
        theirs = _name_and_port(origin)
        both_here = theirs is not None and theirs[0] in LOOPBACK and ours[0] in LOOPBACK
        return theirs == ours or (both_here and theirs is not None and theirs[1] == ours[1])


def _name_and_port(url: str) -> tuple[str, int | None] | None:
    """Without the port where it is the usual one: browsers leave that out of both headers."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (name, port) if name else None


def _header(scope: Scope, name: bytes) -> str | None:
    values = [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
    return ",".join(values) if values else None  # two of them are none of ours


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
    """No page of others may show ours in a frame, where a click could be stolen."""

    async def add(message: Scope) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_FRAMING]
        await send(message)

    return add


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or with --end-with-stdin until whoever holds that open is gone."""
    args = _parse(arguments)
    if not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        sys.exit("daycast: the server has no password: set PREFECT_SERVER_API_AUTH_STRING to user:password")
    listening = socket.socket(fileno=args.socket) if args.socket is not None else _listen(args.host, args.port)
    port = listening.getsockname()[1]
    os.environ["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] = "true"
    origins = [f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}" for name in LOOPBACK]
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = ",".join(origins)
    if args.end_with_stdin:
        threading.Thread(target=_end_with_starter, daemon=True).start()
    import uvicorn  # after the environment is set: Prefect reads it when it is imported
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    api = get_current_settings().server.api
    config = uvicorn.Config(
        SameOriginOnly(create_app(final=True), [*LOOPBACK, *args.name]),
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
    parser.add_argument("--socket", type=int, metavar="FD", help="inherited socket to listen at instead, bound already")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input does")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="host name by which it is reached, beside loopback's",
    )
    return parser.parse_args(arguments)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
    except OSError as error:
        sys.exit(f"daycast: cannot listen at {host}:{port}: {error.strerror}; choose another with --port")


def _end_with_starter() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE_S)
    os._exit(1)


if __name__ == "__main__":
    main()
