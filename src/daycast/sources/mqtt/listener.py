"""The connection to an MQTT broker: it subscribes, hands messages over, and confirms them only when it is told to.

The session is persistent: the broker keeps what is published for this client while it is away, and delivers again what was
not confirmed. Protocol: MQTT version 3.1.1, https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html
"""

import ssl
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from daycast.errors import SourceError
from daycast.sources.batch import find_stop

_ANSWER_S = 30.0  # for the broker to answer a connection or a subscription
_GATHER_S = 0.2  # messages that come within this time of one another stay together


@dataclass(frozen=True)
class Tls:
    """The files of an encrypted connection, in PEM form; `ca_file` None: the system's authorities."""

    ca_file: str | None
    cert_file: str | None
    key_file: str | None


@dataclass(frozen=True)
class Broker:
    """Where the broker is, and who asks."""

    host: str
    port: int
    client_id: str
    username: str | None
    password: str | None = field(repr=False)
    tls: Tls | None

    def __str__(self) -> str:
        return f"the broker {self.host}:{self.port}"


@dataclass(frozen=True)
class _Lost:
    """The connection ended by itself."""

    reason: str


class Listener:
    """A connection to a broker; a context manager. Raises SourceError if the broker refuses, does not answer or is lost."""

    def __init__(self, broker: Broker, topics: Sequence[str], qos: int) -> None:
        self._broker, self._topics, self._qos = broker, topics, qos
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._early = deque[Any]()  # what came before the broker's answers
        self._client = _client(broker)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = lambda _client, _data, message: self._events.put(message)
        self._client.on_disconnect = self._on_disconnect
        self._leaving = False
        self.had_session = False  # whether the broker knew this client from before

    def __enter__(self) -> Self:
        try:
            self._client.connect(self._broker.host, self._broker.port)
        except (OSError, ValueError) as error:
            raise SourceError(f"{self._broker} cannot be reached: {_explain(error)}").passing() from None
        self._client.loop_start()
        try:
            self._begin()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def gather(self, seconds: float, most: int) -> list[MQTTMessage]:
        """The next messages that came together within `seconds`, at most `most`; none if none came in that time.

        Raises SourceError if the connection is lost and everything that came before was handed over.
        """
        messages: list[MQTTMessage] = []
        deadline = time.monotonic() + seconds  # messages may never stop coming
        while len(messages) < most:
            left = deadline - time.monotonic()
            if messages and left <= 0:
                return messages
            event = self._early.popleft() if self._early else self._next(min(_GATHER_S, left) if messages else left)
            if isinstance(event, _Lost):
                self._early.append(event)  # for the next call
                if messages:
                    return messages
                raise SourceError(f"{self._broker} has ended the connection: {event.reason}").passing()
            if event is None:
                return messages
            if isinstance(event, MQTTMessage):
                messages.append(event)
        return messages

    def confirm(self, messages: Sequence[MQTTMessage]) -> None:
        """Tell the broker that these messages need not be delivered again; without effect if the connection is gone."""
        for message in messages:
            self._client.ack(message.mid, message.qos)

    def _begin(self) -> None:
        flags, code = self._answer(ConnectFlags, "the connection")
        if code.is_failure:
            raise SourceError(f"{self._broker} refuses the connection: {code}")
        self.had_session = flags.session_present
        error, _ = self._client.subscribe([(topic, self._qos) for topic in self._topics])
        if error != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise SourceError(f"{self._broker} cannot be asked for messages: {error.name}")
        (codes,) = self._answer(list, "the subscription")
        for topic, code in zip(self._topics, codes, strict=True):
            if code.is_failure:
                raise SourceError(f"{self._broker} refuses the topic {topic}: see what this user may read")

    def _answer(self, kind: type, to: str) -> Any:
        """The first answer of this kind; messages that come before it are left for `gather`."""
        deadline = time.monotonic() + _ANSWER_S
        while True:
            event = self._next(deadline - time.monotonic())
            if isinstance(event, _Lost):
                raise SourceError(f"{self._broker} has ended the connection: {event.reason}").passing()
            if event is None and time.monotonic() >= deadline:
                raise SourceError(f"{self._broker} does not answer {to} within {_ANSWER_S:.0f} s").passing()
            if isinstance(event, tuple) and isinstance(event[0], kind):
                return event
            self._early.append(event)

    def _next(self, seconds: float) -> Any:
        """The next event; None if there is none within `seconds`. Raises StoppedError if reading is cancelled."""
        stop = find_stop()
        with stop.callback(lambda: self._events.put(None)):
            try:
                return self._events.get(timeout=max(seconds, 0.0))
            except Empty:
                return None

    def _leave(self) -> None:
        self._leaving = True
        self._client.disconnect()  # after the confirmations, which go the same way
        self._client.loop_stop()

    def _on_connect(
        self, _client: Client, _data: Any, flags: ConnectFlags, code: ReasonCode, _more: Properties | None
    ) -> None:
        self._events.put((flags, code))

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, codes: list[ReasonCode], _more: Properties | None
    ) -> None:
        self._events.put((codes,))

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, code: ReasonCode, _more: Properties | None
    ) -> None:
        if not self._leaving:
            another = (
                f"another client with the id {self._broker.client_id!r} may have taken its place, or it was stopped"
            )
            self._events.put(_Lost(f"{code} ({another})"))


def _client(broker: Broker) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=broker.client_id,
        clean_session=False,
        reconnect_on_failure=False,  # two clients with one id would take each other's place for ever
        manual_ack=True,
    )
    client.connect_timeout = _ANSWER_S
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls is not None:
        try:
            client.tls_set(broker.tls.ca_file, broker.tls.cert_file, broker.tls.key_file)
        except (OSError, ValueError) as error:
            raise SourceError(f"{broker}: the files of tls cannot be used: {_explain(error)}") from None
    return client


def _explain(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
