"""The source mqtt with a real broker: nothing is lost between runs, nothing counts twice, whenever a run is killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from daycast.errors import ContractError, SourceError
from daycast.settings import Settings
from daycast.sources.mqtt import source as mqtt
from daycast.sources.mqtt.source import MqttSource
from daycast.steps.doctor import examine
from daycast.steps.ingest import Ingested, ingest_source
from daycast.variables import BUILT_IN
from integration.servers import Broker, mosquitto

pytestmark = pytest.mark.slow
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
OPEN = ("allow_anonymous true", "persistence true", "autosave_interval 1")
TIMED = {"topic": "garden/{station}/up", "time": "$.at", "columns": {"air_temperature_c": "$.t"}}
BARE = {"topic": "sensors/{station}/temperature", "time": "arrival", "columns": {"air_temperature_c": "$"}}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path / "broker", *OPEN) as running:
        yield running


def table(broker: Broker, **settings: object) -> dict[str, object]:
    return {
        "kind": "mqtt",
        "name": "garden",
        "port": broker.port,
        "listen": "20s",
        "messages": [TIMED, BARE],
    } | settings


def configured(folder: Path, broker: Broker, **settings: object) -> Settings:
    return Settings.model_validate({"sources": [table(broker, **settings)]}, context={"folder": folder})


def ingest(settings: Settings, now: datetime = NOON) -> Ingested:
    return ingest_source(settings, settings.sources[0], now)


def publish(broker: Broker, *messages: tuple[str, str], qos: int = 1, retain: bool = False) -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for sent in [client.publish(topic, payload, qos, retain) for topic, payload in messages]:
        sent.wait_for_publish(300)
    client.disconnect()
    client.loop_stop()


def timed(station: str, minutes: int, value: float = 1.0) -> tuple[str, str]:
    """A message about so many minutes before noon."""
    at = NOON - timedelta(minutes=minutes)
    return f"garden/{station}/up", json.dumps({"at": at.isoformat(), "t": value})


def bare(station: str, value: float) -> tuple[str, str]:
    return f"sensors/{station}/temperature", str(value)


def readings(settings: Settings) -> list[tuple[str, float]]:
    """Station and value of every reading, in order of time."""
    with settings.warehouse.read(NOON) as con:
        return con.sql("select station_id, air_temperature_c from readings order by observed_at, station_id").fetchall()


def test_what_was_published_between_runs_is_there_once_in_order_also_if_the_broker_was_restarted(broker, tmp_path):
    settings = configured(tmp_path, broker)
    ingest(settings)
    publish(
        broker,
        *(timed("a", 200 - number, number) for number in range(70)),
        *(bare("b", number) for number in range(70)),
    )
    broker.restart()
    publish(broker, timed("a", 5, 70))
    assert ingest(settings, NOON + timedelta(minutes=1)).kept == 141  # seven times what the broker hands over at once
    assert ingest(settings, NOON + timedelta(minutes=2)).delivered == 0
    assert [row for row in readings(settings) if row[0] == "a"] == [("a", float(number)) for number in range(71)]
    assert [row for row in readings(settings) if row[0] == "b"] == [("b", float(number)) for number in range(70)]


KILLED = """
import json, os, signal, sys
from datetime import datetime
from pathlib import Path
from daycast.settings import Settings
from daycast.steps import ingest
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
setattr(ingest, sys.argv[1], die)
settings = Settings.model_validate(json.loads(sys.argv[2]), context={"folder": Path(sys.argv[3])})
ingest.ingest_source(settings, settings.sources[0], datetime.fromisoformat(sys.argv[4]))
"""


@pytest.mark.parametrize(
    "at", ["load_batches", "_finish"], ids=["before the commit", "between commit and confirmation"]
)
def test_a_run_that_is_killed_loses_nothing_and_doubles_nothing(broker, tmp_path, at):
    settings = configured(tmp_path, broker)
    ingest(settings)
    publish(broker, *(timed("a", 100 - number, number) for number in range(5)), *(bare("b", 7) for _ in range(3)))
    for minute in (1, 2):
        given = json.dumps({"sources": [table(broker)]})
        command = [
            sys.executable,
            "-c",
            KILLED,
            at,
            given,
            str(tmp_path),
            (NOON + timedelta(minutes=minute)).isoformat(),
        ]
        assert subprocess.run(command, check=False, timeout=600).returncode == -signal.SIGKILL
    publish(broker, bare("b", 7))
    ingest(settings, NOON + timedelta(minutes=3))
    ingest(settings, NOON + timedelta(minutes=4))
    assert sorted(readings(settings)) == [*(("a", float(number)) for number in range(5)), *[("b", 7.0)] * 4]


def test_messages_of_later_stay_with_the_broker_until_then(broker, tmp_path):
    settings = configured(tmp_path, broker, listen="3s")
    ingest(settings)
    publish(broker, timed("a", -30, 3), timed("a", 10, 1))
    first = ingest(settings)
    assert (first.kept, first.waiting) == (1, 1)
    assert "stamped later than now" in first.doubts[0]
    assert ingest(settings, NOON + timedelta(hours=1)).kept == 1
    assert readings(settings) == [("a", 1.0), ("a", 3.0)]


def test_the_doctor_takes_nothing_away(broker, tmp_path):
    settings = configured(tmp_path, broker, listen="3s")
    ingest(settings)
    publish(broker, timed("a", 10), bare("b", 2))
    [check] = [str(check) for check in examine(settings, NOON) if check.check == "source garden"]
    assert check.endswith("has 2 rows, 0 problems")
    assert ingest(settings).kept == 2


def test_a_load_that_is_refused_whole_stays_with_the_broker_until_the_settings_are_right(broker, tmp_path, monkeypatch):
    monkeypatch.setattr(mqtt, "_CONFIRM_S", 0.0)
    settings = configured(tmp_path, broker, listen="3s")
    ingest(settings)
    publish(broker, *(timed("a", number, f"{number} degrees") for number in range(20)))
    with pytest.raises(ContractError, match="20 of 20 rows"):
        ingest(settings)
    mended = configured(tmp_path, broker, listen="3s", missing=[f"{number} degrees" for number in range(19)])
    assert ingest(mended).bad_values == 1


def test_a_broker_that_forgot_the_session_and_messages_that_it_does_not_keep_are_pointed_at(broker, tmp_path):
    settings = configured(tmp_path, broker, listen="3s")
    ingest(settings)
    publish(broker, timed("a", 10))
    assert ingest(settings).doubts == ()
    [doubt] = ingest(configured(tmp_path, broker, listen="3s", client_id="another")).doubts
    assert "kept no session for client_id = 'another'" in doubt
    batches = MqttSource.model_validate(table(broker, listen="8s")).fetch(None, NOON, BUILT_IN, ())
    feed = subprocess.Popen([sys.executable, "-c", FEED, str(broker.port), *timed("a", 3)])
    try:
        assert "come with quality of service 0" in next(batches).doubts[0]
    finally:
        batches.close()
        feed.kill()
        feed.wait()


FEED = """
import sys, time
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
client = Client(CallbackAPIVersion.VERSION2)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
while True:
    client.publish(sys.argv[2], sys.argv[3], qos=0)
    time.sleep(0.1)
"""


def test_retained_messages_without_a_time_are_passed_over(broker, tmp_path):
    publish(broker, bare("b", 2), timed("a", 10, 4), retain=True)
    settings = configured(tmp_path, broker, listen="3s")
    for minute in range(2):
        ingest(settings, NOON + timedelta(minutes=minute))
    assert readings(settings) == [("a", 4.0)]


def test_who_takes_the_place_of_a_client_is_guessed_and_what_came_before_is_kept(broker, tmp_path):
    one, other = (MqttSource.model_validate(table(broker)) for _ in range(2))
    list(islice(MqttSource.model_validate(table(broker, listen="1s")).fetch(None, NOON, BUILT_IN, ()), 1))
    publish(broker, timed("a", 10))
    first = one.fetch(None, NOON, BUILT_IN, ())
    assert len(next(first).readings) == 1
    second = other.fetch(None, NOON, BUILT_IN, ())
    assert len(next(second).readings) == 1
    with pytest.raises(SourceError, match="another client with the id 'daycast-garden'"):
        next(first)
    second.close()


def test_a_broker_that_is_not_there_is_named(broker, tmp_path):
    broker.stop()
    with pytest.raises(SourceError, match=f"the broker localhost:{broker.port} cannot be reached: Connection refused"):
        ingest(configured(tmp_path, broker))
    assert broker.start()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, NOON - timedelta(days=9000), NOON + timedelta(days=9000)
    )
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    (folder / "cert.pem").write_bytes(made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    return folder / "cert.pem", folder / "key.pem"


def test_with_tls_the_broker_must_show_a_certificate_that_is_trusted(tmp_path):
    cert, key = certificate(tmp_path)
    with mosquitto(tmp_path / "broker", *OPEN, f"certfile {cert}", f"keyfile {key}") as broker:
        assert ingest(configured(tmp_path, broker, listen="1s", tls={"ca_file": "cert.pem"})).delivered == 0
        with pytest.raises(SourceError, match="its certificate is not trusted: self"):
            ingest(configured(tmp_path, broker, tls=True))
        with pytest.raises(SourceError, match=f"localhost:{broker.port} (has ended the connection|cannot be reached)"):
            ingest(configured(tmp_path, broker))
    with pytest.raises(SourceError, match="the files of tls cannot be used: No such file or directory"):
        ingest(configured(tmp_path, broker, tls={"ca_file": "missing.pem"}))
