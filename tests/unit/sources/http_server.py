"""A real HTTP server on the loopback interface that answers as a test tells it to, misbehaviour included."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Request:
    """What a client asked for; `number` counts the requests to this server from 0."""

    path: str  # without query
    query: dict[str, str]
    headers: Mapping[str, str]  # names in any case
    number: int
    method: str


@dataclass
class Answer:
    """What to send back. `truncate_to` announces the whole body, sends so many bytes of it and hangs up."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0  # or until the server ends
    truncate_to: int | None = None
    announced: bool = True  # send Content-Length; else the body ends where the connection does
    drip_s: float | None = None  # pause after each byte of the body
    drip_head_s: float | None = None  # a head that never ends: pause after each of its bytes


@dataclass
class Served:
    """A running server: its address, and what it was asked so far."""

    url: str
    requests: list[Request] = field(default_factory=list)


@contextmanager
def serve(answers: Callable[[Request], Answer], port: int = 0) -> Iterator[Served]:
    """Run a server that gives `answers` until the end of the block, at any free port or this one.

    What `answers` raises is sent as a 500 with its text.
    """
    lock, ended = Lock(), Event()
    served = Served(url="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for the client to acknowledge its head

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            with lock:
                query = dict(parse_qsl(parts.query))
                asked = Request(parts.path, query, self.headers, len(served.requests), self.command)
                served.requests.append(asked)
                answer = _answer(answers, asked)
            with suppress(ConnectionError):  # the client has given up, as some tests want it to
                _send(self, answer, ended)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names http.server asks for

        def log_message(self, *ignored: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.block_on_close = False  # a handler may still be dripping
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(answers: Callable[[Request], Answer], asked: Request) -> Answer:
    try:
        return answers(asked)
    except Exception as error:  # noqa: BLE001 (a bug in a test shows as an answer, not as a hang)
        return Answer(status=500, body=repr(error).encode(), content_type="text/plain")


def _send(handler: BaseHTTPRequestHandler, answer: Answer, ended: Event) -> None:
    if ended.wait(answer.delay_s):
        return
    if answer.drip_head_s is not None:
        _drip(handler, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000, answer.drip_head_s, ended)
        return
    handler.send_response_only(answer.status)
    if answer.announced and answer.status not in {204, 304}:
        handler.send_header("Content-Length", str(len(answer.body)))
    handler.send_header("Content-Type", answer.content_type)
    for name, value in {"Date": handler.date_time_string(), **answer.headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    body = answer.body if answer.truncate_to is None else answer.body[: answer.truncate_to]
    if answer.drip_s is None:
        handler.wfile.write(body)
    else:
        _drip(handler, body, answer.drip_s, ended)
    handler.close_connection = handler.close_connection or answer.truncate_to is not None or not answer.announced


def _drip(handler: BaseHTTPRequestHandler, content: bytes, backoff_s: float, ended: Event) -> None:
    for byte in content:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        if ended.wait(backoff_s):
            return
