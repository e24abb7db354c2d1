"""The settings of the source, and its batches of messages; with a real broker it is tested in integration/test_mqtt.py."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from daycast.errors import ConfigError
from daycast.settings import Settings
from daycast.sources.batch import SourceBatch
from daycast.sources.mqtt.messages import readers_of
from daycast.sources.mqtt.source import MqttSource, _Run, _stored_last
from daycast.variables import BUILT_IN

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
BARE = {"topic": "sensors/{station}/temperature", "time": "arrival", "columns": {"air_temperature_c": "$"}}
TIMED = {"topic": "garden/{station}/up", "time": "$.at", "columns": {"relative_humidity_pct": "$.h"}}


def source(environment=None, **settings: object) -> MqttSource:
    return MqttSource.model_validate(
        {"name": "garden", "messages": [BARE, TIMED]} | settings, context={"environment": environment or {}}
    )


class Confirmations(list):
    """A connection that only notes what is confirmed."""

    def confirm(self, messages: list[SimpleNamespace]) -> None:
        self.extend(message.mid for message in messages)


def message(mid: int, payload: str, topic: str = "sensors/a/temperature", **flags: object) -> SimpleNamespace:
    return SimpleNamespace(
        mid=mid, topic=topic, payload=payload.encode(), **{"qos": 1, "dup": False, "retain": False} | flags
    )


def run(until: datetime = NOON, seen=()) -> _Run:
    of = source()
    return _Run(of, [readers_of(of.name, rule, BUILT_IN) for rule in of.messages], list(BUILT_IN), until, seen)


def temperatures(batch: SourceBatch) -> list[float | None]:
    return batch.readings["air_temperature_c"].to_list()


def test_messages_of_all_rules_are_rows_of_one_batch_that_is_confirmed_once_it_was_stored():
    confirmed, this = Confirmations(), run()
    batch = this.make_batch(
        confirmed,
        [
            message(1, '{"at": "2026-06-01T11:00:00Z", "h": 50}', "garden/a/up"),
            message(2, "20.5"),
            message(3, "warm"),
            message(4, '{"at": "2026-06-01T12:00:01Z", "h": 51}', "garden/a/up"),
            message(5, '{"at": "2026-06-01T11:00:00Z", "h": "wet"}', "garden/b/up"),
        ],
    )
    assert temperatures(batch) == [20.5, None, None, None]
    assert batch.readings["relative_humidity_pct"].to_list() == [None, None, 50.0, None]
    assert [(row, value) for row, _, value, _ in batch.problems.rows()] == [(1, "warm")]
    assert [(row, value) for row, _, value, _ in batch.bad_values.rows()] == [(3, "wet")]
    assert batch.raw["payload"].to_list()[:2] == ["20.5", "warm"]
    assert (batch.complete, batch.waiting, confirmed, this.unconfirmed) == (True, 1, [], {1})
    batch.finish()
    assert (confirmed, this.unconfirmed) == ([1, 2, 3, 5], set())


def test_a_message_without_a_time_that_comes_again_is_known_by_its_number_and_content():
    first = run()
    stored = {first.make_batch(Confirmations(), [message(1, "20"), message(2, "20")]).fingerprint}
    again = [message(1, "20", dup=True), message(2, "21", dup=True), message(3, "20", dup=True), message(2, "20")]
    confirmed = Confirmations()
    batch = run(NOON + timedelta(hours=1), stored).make_batch(confirmed, again)
    assert temperatures(batch) == [21.0, 20.0, 20.0]
    batch.finish()
    assert confirmed == [1, 2, 3, 2]
    # whoever is killed after that finds both runs
    assert len(_stored_last(stored | {batch.fingerprint})) == 4


def test_only_the_newest_runs_can_have_left_something_unconfirmed():
    of = [f"2026-06-01T{hour:02}:00:00.000000+00:00 1-abc id{hour}" for hour in range(20)]
    assert _stored_last(of) == {f"id{hour}" for hour in range(10, 20)}
    assert _stored_last([*of[:1], "another kind"]) == {"id0"}


def test_each_message_has_a_moment_of_its_own_over_all_batches_of_a_run_and_none_is_after_it():
    this = run()
    moments = [
        moment
        for batch in (this.make_batch(Confirmations(), [message(1, "20")] * 3) for _ in range(2))
        for moment in batch.readings["observed_at"]
    ]
    assert moments == sorted(set(moments))
    assert NOON - timedelta(seconds=1) < moments[0] < moments[-1] <= NOON


def test_a_doubt_is_told_once_a_run():
    this = run()
    batches = [this.make_batch(Confirmations(), [message(number, "20", qos=0)]) for number in range(2)]
    assert [len(batch.doubts) for batch in batches] == [1, 0]
    assert "sensors/{station}/temperature come with quality of service 0" in batches[0].doubts[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "broker.example"}, "'broker.example' is another machine: set tls = true"),
        ({"host": "10.0.0.7"}, "is another machine"),
        ({"password_env": "MQTT_PASSWORD"}, "password_env needs username_env"),
        ({"username_env": "daycast secret"}, "the name of the environment variable"),
        ({"messages": []}, "at least 1"),
        ({"qos": 2}, "less than or equal to 1"),
        ({"listen": "0s"}, "listen"),
        ({"tls": {"file": "ca.pem"}}, "tls"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_way_out(settings, message):
    with pytest.raises(ValidationError, match=message):
        source(**settings)


@pytest.mark.parametrize(
    ("settings", "port", "files"),
    [
        ({}, 1883, None),
        ({"host": "::1"}, 1883, None),
        ({"host": "broker.example", "tls": False}, 1883, None),
        ({"host": "broker.example", "tls": True}, 8883, (None, None, None)),
        ({"host": "broker.example", "tls": {"ca_file": "ca.pem"}, "port": 9}, 9, ("ca.pem", None, None)),
    ],
)
def test_the_port_follows_from_tls_and_only_this_machine_may_do_without(settings, port, files):
    broker = source(**settings)._broker()
    tls = broker.tls and (broker.tls.ca_file, broker.tls.cert_file, broker.tls.key_file)
    assert (broker.port, tls) == (port, files)


def test_user_and_password_come_from_the_environment_and_are_not_shown():
    secret = {"MQTT_USER": "ali", "MQTT_PASSWORD": "open sesame"}
    broker = source(secret, username_env="MQTT_USER", password_env="MQTT_PASSWORD")._broker()  # noqa: S106
    assert (broker.username, broker.password) == ("ali", "open sesame")
    assert "sesame" not in repr(broker)
    with pytest.raises(ConfigError, match="environment variable MQTT_USER is not set"):
        source(username_env="MQTT_USER").fetch(None, NOON, BUILT_IN, ())


def test_a_variable_that_only_a_message_has_is_one_of_the_network():
    rule = BARE | {"columns": {"altimeter_setting_hpa": {"path": "$", "unit": "inHg"}}}
    table = {"kind": "mqtt", "name": "garden", "messages": [TIMED, rule]}
    assert "altimeter_setting_hpa" in Settings.model_validate({"sources": [table]}).glossary
