"""The source of kind "mqtt": it listens to a broker for a bounded time, and confirms what was stored.

A message is confirmed to the broker after its batch was committed (`SourceBatch.finish`). If a run is killed before that, the
broker delivers the message again. Then its reading is known already; of a message without a time of its own, the fingerprint
of the batch tells (`_fingerprint`).
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import polars as pl
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from daycast.errors import ConfigError
from daycast.loopback import is_loopback
from daycast.sources.batch import (
    READING_KEYS,
    Problem,
    SourceBatch,
    declared_units,
    find_stop,
    mapping_text,
    no_problems,
    problems_frame,
)
from daycast.sources.context import SettingsInContext
from daycast.sources.files.station_list import StationList
from daycast.sources.mqtt.messages import (
    MessageRule,
    PayloadReader,
    PayloadValue,
    Read,
    Timing,
    read_messages,
    readers_of,
)
from daycast.sources.tables.short_forms import Duration, VariableName, list_if_bare, shown_name
from daycast.sources.tables.times import Tolerance
from daycast.sources.tables.wall_clock import WallClocks, validate_timezone
from daycast.stations import STATION_SCHEMA
from daycast.times import UTC_TIME
from daycast.variables import Variable

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

    from daycast.sources.mqtt.listener import Broker, Listener

_BATCH_MESSAGES = 10_000  # at most, in one batch
_QUIET_S = 3.0  # after so long without a message there are no more
_PAUSE_S = 0.05
_CONFIRM_S = 60.0  # what is not stored by then is delivered again at the next run
_RUNS = 10  # whose messages may still be unconfirmed, should one after the other have been killed
_MOST_MOMENTS = 1_000_000
_NO_SESSION = (
    "the broker had kept no session for client_id = {!r}, so it may have dropped what was published since the last run: set "
    "persistence true in mosquitto.conf, and give each daycast a client_id of its own"
)
_NOT_KEPT = (
    "messages on {} come with quality of service 0, and brokers drop these while daycast is away: publish with 1; or set "
    "queue_qos0_messages true in mosquitto.conf, and qos = 0 here"
)


class TlsFiles(BaseModel):
    """`tls = {…}`: files in PEM form, relative to the configuration's folder. Without ca_file the system's authorities count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca_file: str | None = None  # the authority that signed the broker's certificate
    cert_file: str | None = None  # the client's own certificate, and its key
    key_file: str | None = None


class MqttSource(SettingsInContext):
    """A `[[sources]]` table of kind "mqtt", and the Source that listens as it says.

    The session is persistent: between runs the broker keeps the messages that were published with quality of service 1.
    Files are relative to `folder` in the validation context; user and password are read from `environment` there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resumes: ClassVar[bool] = False  # the broker knows what was handed over
    forgets: ClassVar[bool] = True  # and does not hand it over again

    kind: Literal["mqtt"] = "mqtt"
    name: str
    host: Annotated[str, Field(min_length=1)] = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None  # None: 1883, with TLS 8883
    tls: bool | TlsFiles | None = None  # None: none, which only a broker on this machine may do without being told
    client_id: Annotated[str, Field(min_length=1)] | None = (
        None  # names the session; None: daycast- and the source's name
    )
    username_env: VariableName | None = None  # name of the environment variable that holds the user's name
    password_env: VariableName | None = None
    qos: Annotated[int, Field(ge=0, le=1)] = 1  # quality of service to ask for
    listen: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(seconds=30)  # at most, each run
    missing: Annotated[tuple[str, ...], BeforeValidator(list_if_bare)] = ("nan", "NaN", "unavailable", "unknown")
    timezone: Annotated[str, AfterValidator(validate_timezone)] = "UTC"  # of times without an offset
    reporting_delay: Duration = timedelta(0)
    tolerance: Tolerance = timedelta(0)
    messages: Annotated[tuple[MessageRule, ...], Field(min_length=1)]
    station_list: StationList | None = None

    @model_validator(mode="after")
    def _validate_connection(self) -> Self:
        if self.tls is None and not is_loopback(f"mqtt://[{self.host}]" if ":" in self.host else f"mqtt://{self.host}"):
            raise ValueError(
                f"{self.host!r} is another machine: set tls = true, or tls = false to send everything in the clear"
            )
        if self.password_env is not None and self.username_env is None:
            raise ValueError("password_env needs username_env")
        return self

    @property
    def columns(self) -> Mapping[str, PayloadValue]:
        """Where each variable is, of all rules."""
        return {name: value for rule in self.messages for name, value in rule.columns.items()}

    def fetch(
        self,
        since: datetime | None,  # noqa: ARG002 (a broker has no past to ask for)
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield what comes within `listen`, a batch for each load of messages; see Source. `since` is ignored.

        Messages stamped later than `until` are left to the broker; those without a time
        count as observed at `until`. Raises ConfigError for a variable or unit that does not exist, and for an environment
        variable that is not set. Raises SourceError if the broker refuses, does not answer or goes away, after what came.
        """
        readers = [readers_of(self.name, rule, variables) for rule in self.messages]
        return self._batches(_Run(self, readers, list(variables), until, seen), self._broker())

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA), empty if none is configured. Raises SourceError if it cannot be read."""
        if self.station_list is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return self.station_list.read(self._folder, (), ".")

    def mapping(self, variables: Mapping[str, Variable]) -> str:
        """How messages are read; see Source."""
        read = self.model_dump(
            mode="json", include={"missing", "timezone", "reporting_delay", "messages"}, exclude_defaults=True
        )
        return mapping_text(1, read, declared_units(self.columns, variables))

    def _batches(self, run: "_Run", broker: "Broker") -> Iterator[SourceBatch]:
        from daycast.sources.mqtt.listener import Listener  # noqa: PLC0415 (imports paho only if needed)

        end = time.monotonic() + self.listen.total_seconds()
        quiet = min(_QUIET_S, self.listen.total_seconds())
        topics = list(dict.fromkeys(rule.subscription for rule in self.messages))
        with Listener(broker, topics, self.qos) as listener:
            if run.seen and not listener.had_session:
                yield run.make_batch(listener, [], [_NO_SESSION.format(broker.client_id)])
            while (left := end - time.monotonic()) > 0:
                if messages := listener.gather(min(left, quiet), _BATCH_MESSAGES):
                    yield run.make_batch(listener, messages)
                elif not run.unconfirmed:
                    break
            end = time.monotonic() + _CONFIRM_S
            while run.unconfirmed and time.monotonic() < end:
                find_stop().sleep(_PAUSE_S)

    def _broker(self) -> "Broker":
        from daycast.sources.mqtt.listener import Broker, Tls  # noqa: PLC0415 (imports paho only if needed)

        return Broker(
            host=self.host,
            port=self.port or (8883 if self.tls else 1883),
            client_id=self.client_id or f"daycast-{self.name}",
            username=self._secret(self.username_env),
            password=self._secret(self.password_env),
            tls=Tls(*self._tls_files()) if self.tls else None,
        )

    def _secret(self, variable: str | None) -> str | None:
        if variable is None:
            return None
        if not self._environment.get(variable):
            raise ConfigError(f"source {self.name!r}: environment variable {shown_name(variable)} is not set")
        return self._environment[variable]

    def _tls_files(self) -> Iterator[str | None]:
        files = self.tls if isinstance(self.tls, TlsFiles) else TlsFiles()
        for file in (files.ca_file, files.cert_file, files.key_file):
            yield file and str(self._folder / Path(file).expanduser())


@dataclass
class _Run:
    """What is known while one fetch lasts."""

    source: MqttSource
    readers: Sequence[Sequence[PayloadReader]]  # of each rule
    variables: Sequence[str]
    until: datetime
    seen: Collection[str]
    unconfirmed: set[int] = field(default_factory=set)  # batches that were handed over, and not committed yet
    count: int = 0  # messages that came
    told: set[str] = field(default_factory=set)  # doubts, without their examples

    def __post_init__(self) -> None:
        source = self.source
        self._timing = Timing(self.until, source.reporting_delay, WallClocks(source.timezone), source.timezone)
        self._stored = list(_stored_last(self.seen))
        self._timeless = [rule.pattern for rule in source.messages if rule.stamp is None]

    def make_batch(
        self, listener: "Listener", messages: Sequence["MQTTMessage"], doubts: Sequence[str] = ()
    ) -> SourceBatch:
        """The messages as a batch; when it was committed, they are confirmed, except those that wait for their time."""
        source, first = self.source, self.count + 1
        self.count += len(messages)
        table = self._table(messages, first)
        # nothing tells when a retained message was published; what was stored by a run that was killed comes again
        dropped = pl.col("is_retained") | (pl.col("is_again") & pl.col("id").is_in(self._stored))
        new = table.filter(~(pl.col("is_timeless") & dropped))
        read = [
            read_messages(rule, new, readers, source.missing, self._timing)
            for rule, readers in zip(source.messages, self.readers, strict=True)
        ]
        waits = set(pl.concat([one.waits for one in read]))
        done = [message for number, message in enumerate(messages, first) if number not in waits]
        self.unconfirmed.add(first)

        def finish() -> None:
            listener.confirm(done)
            self.unconfirmed.discard(first)

        return SourceBatch(
            origin=f"{source.name} {self.until:%Y-%m-%dT%H:%M:%SZ} messages {first:,}..{self.count:,}",
            fingerprint=self._fingerprint(table, first),
            readings=self._readings(read),
            raw=pl.concat([one.raw for one in read]),
            problems=_below_each_other(read, [one.problems for one in read]),
            bad_values=_below_each_other(read, [one.bad_values for one in read]),
            complete=True,  # what waits is delivered again, whatever is known of this batch
            receipt="assumed",
            waiting=len(waits),
            doubts=self._untold([*doubts, *self._doubts_of(read), *self._unkept(table)]),
            tolerance=source.tolerance,
            finish=finish,
        )

    def _table(self, messages: Sequence["MQTTMessage"], first: int) -> pl.DataFrame:
        """A row a message: number, topic, payload, qos, arrived_at, id, is_again, is_retained and is_timeless."""
        columns = [
            pl.Series("topic", [message.topic for message in messages], pl.String),
            pl.Series("payload", [message.payload.decode("utf-8", "replace") for message in messages], pl.String),
            pl.Series("qos", [message.qos for message in messages], pl.Int8),
            pl.Series("id", [_id_of(message) for message in messages], pl.String),
            pl.Series("is_again", [message.dup for message in messages], pl.Boolean),
            pl.Series("is_retained", [message.retain for message in messages], pl.Boolean),
        ]
        number = pl.int_range(pl.len(), dtype=pl.Int64) + first
        # each has a moment of its own, so that none takes the place of another
        before = pl.duration(microseconds=pl.max_horizontal(_MOST_MOMENTS - number, 0))
        return pl.DataFrame(columns).with_columns(
            number=number,
            arrived_at=(pl.lit(self.until, UTC_TIME) - before).cast(UTC_TIME),
            is_timeless=pl.any_horizontal(
                pl.lit(value=False), *(pl.col("topic").str.contains(pattern) for pattern in self._timeless)
            ),
        )

    def _doubts_of(self, read: Sequence[Read]) -> Iterator[str]:
        yield from self._timing.clocks.take_doubts()
        for one in read:
            yield from one.doubts

    def _readings(self, read: Sequence[Read]) -> pl.DataFrame:
        rows = pl.concat([one.readings for one in read], how="diagonal")
        absent = [pl.lit(None, pl.Float64).alias(name) for name in self.variables if name not in rows.columns]
        twice = [name for name in ("later_at",) if name in rows.columns]
        return rows.with_columns(absent).select(*READING_KEYS, *twice, *self.variables)

    def _fingerprint(self, table: pl.DataFrame, first: int) -> str:
        """The run, a hash of its messages, and the ids of those without a time, by which later runs know them again."""
        content = sha256(table.select("topic", "payload").write_ipc(None).getvalue()).hexdigest()
        timeless = ",".join(table.filter("is_timeless")["id"])
        return f"{self.until.isoformat(timespec='microseconds')} {first}-{content} {timeless}"

    def _untold(self, doubts: Sequence[str]) -> tuple[str, ...]:
        """The doubts that this run has not told yet; examples make no difference."""
        new = {doubt.partition(", for example ")[0]: doubt for doubt in doubts}
        untold = tuple(doubt for key, doubt in new.items() if key not in self.told)
        self.told |= new.keys()
        return untold

    def _unkept(self, table: pl.DataFrame) -> Iterator[str]:
        """A doubt for each topic whose messages the broker does not keep."""
        unkept = table.filter((pl.col("qos") < self.source.qos) & ~pl.col("is_retained"))["topic"]
        for rule in self.source.messages:
            if unkept.str.contains(rule.pattern).any():
                yield _NOT_KEPT.format(rule.topic)


def _below_each_other(read: Sequence[Read], problems: Sequence[Sequence[Problem]]) -> pl.DataFrame:
    """The problems of all rules as one frame; their rows stand one below the other."""
    frames, before = [no_problems()], 0
    for one, of_rule in zip(read, problems, strict=True):
        numbers = (pl.col("row_number") + before).cast(pl.UInt32)
        frames.append(problems_frame(of_rule).with_columns(row_number=numbers))
        before += one.readings.height
    return pl.concat(frames)


def _id_of(message: "MQTTMessage") -> str:
    """What tells a message that is delivered again: the broker keeps its number until it is confirmed."""
    return sha256(f"{message.mid} {message.topic} ".encode() + message.payload).hexdigest()[:12]


def _stored_last(seen: Collection[str]) -> set[str]:
    """The ids of the messages without a time that the newest runs stored; only these can be unconfirmed."""
    parts = [text.split(" ") for text in seen if text.count(" ") == 2]
    newest = sorted({run for run, _, _ in parts})[-_RUNS:]
    return {one for run, _, ids in parts if run in newest for one in ids.split(",") if one}
