"""A limit to the whole of a request, which the HTTP library lacks: its own time-outs begin anew with every byte."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from daycast.sources.stop import find_stop


class Watchdog:
    """Cuts a client's connections once a request has taken `limit_s` seconds, whether the server drips head or body.

    It does so too when its thread is to stop reading, which raises StoppedError.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._stop = find_stop()
        self.has_bitten = False
        self._sockets: list[socket.socket] = []

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the socket of each new connection; httpcore calls this at every step of a request."""
        if event not in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            return
        alive = [known for known in self._sockets if known.fileno() >= 0]
        self._sockets = [*alive, info["return_value"].get_extra_info("socket")]
        if self.has_bitten:  # connecting itself took too long
            self._bite()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Cut the connections if what happens inside takes longer than the limit; `has_bitten` says so afterwards."""
        self.has_bitten = False
        timer = threading.Timer(self.limit_s, self._bite)
        timer.daemon = True
        timer.start()
        try:
            with self._stop.cutting(self._bite):
                yield
        finally:
            timer.cancel()

    def _bite(self) -> None:
        self.has_bitten = True
        for connection in self._sockets:
            with suppress(OSError):  # closed meanwhile
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # wakes a blocked read, as closing would not
