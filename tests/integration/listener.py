"""A web server that answers everything with 204 and remembers what it was asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Listener:
    """Where it listens, and what it heard: method, path and body."""

    def __init__(self, port: int) -> None:
        self.url, self.heard = f"http://127.0.0.1:{port}", list[tuple[str, str, str]]()


@contextmanager
def listening() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            listener.heard.append((self.command, self.path, body))
            self.send_response(204)
            self.end_headers()

        do_GET = do_POST = _answer  # noqa: N815 - the names http.server asks for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listener = Listener(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield listener
        server.shutdown()
