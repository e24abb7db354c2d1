"""What messages say, by payloads in the forms that The Things Stack, ChirpStack and small sensors send."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from pydantic import ValidationError

from daycast.errors import ConfigError
from daycast.sources.batch import problems_frame
from daycast.sources.mqtt.messages import MessageRule, Read, Timing, read_messages, readers_of
from daycast.sources.tables.wall_clock import WallClocks
from daycast.times import BEYOND_CALENDAR, UTC_TIME
from daycast.variables import BUILT_IN

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
TEMPERATURE = {"air_temperature_c": "$.t"}


def rule(topic: str = "garden/{station}/up", **settings: object) -> MessageRule:
    return MessageRule.model_validate({"topic": topic, "time": "$.at", "columns": TEMPERATURE} | settings)


def read(of: MessageRule, *messages: tuple[str, object], missing=("nan",), zone="UTC", delay=timedelta(0)) -> Read:
    """What the messages (topic, payload) say; what is not text is written as JSON."""
    texts = [payload if isinstance(payload, str) else json.dumps(payload) for _, payload in messages]
    topics = [topic for topic, _ in messages]
    table = pl.DataFrame({"topic": topics, "payload": texts}, schema={"topic": pl.String, "payload": pl.String})
    arrived = pl.lit(NOON, UTC_TIME) - pl.duration(microseconds=10 - pl.col("number"))
    table = table.with_row_index("number", 1).with_columns(arrived_at=arrived.cast(UTC_TIME))
    return read_messages(
        of, table, readers_of("lora", of, BUILT_IN), missing, Timing(NOON, delay, WallClocks(zone), zone)
    )


def rows(of: Read) -> list[tuple]:
    return of.readings.drop("number", "received_at").rows()


def reasons(of: Read) -> list[tuple]:
    return problems_frame([*of.problems, *of.bad_values]).rows()


def test_an_uplink_of_the_things_stack():
    uplink = {
        "end_device_ids": {"device_id": "dev1", "dev_eui": "0004A30B001C0530"},
        "received_at": "2026-06-01T11:58:03.787812345Z",
        "uplink_message": {"f_port": 1, "decoded_payload": {"temperature": 21.5, "humidity": 480}},
    }
    columns = {
        "air_temperature_c": "$.uplink_message.decoded_payload.temperature",
        "relative_humidity_pct": {"path": "$.uplink_message.decoded_payload.humidity", "factor": 0.1},
    }
    join = {"end_device_ids": {"device_id": "dev1"}, "join_accept": {}}
    of = rule("v3/garden@ttn/devices/{station}/up", time="$.received_at", columns=columns)
    seen = datetime(2026, 6, 1, 11, 58, 3, 787812, tzinfo=UTC)
    for station in (None, "$.end_device_ids.device_id"):
        topic = of.topic if station is None else of.subscription
        said = read(
            rule(topic, time="$.received_at", columns=columns, station=station),
            ("v3/garden@ttn/devices/dev1/up", uplink),
            ("v3/garden@ttn/devices/dev1/up", join),
            ("v3/garden@ttn/devices/dev1/join", uplink),
        )
        assert rows(said) == [("dev1", seen, 21.5, 48.0)]
        assert reasons(said) == []
        assert said.raw.rows() == [("v3/garden@ttn/devices/dev1/up", json.dumps(uplink))]


def test_an_event_of_chirpstack():
    event = {
        "deduplicationId": "3ac7e3c4",
        "time": "2026-06-01T11:34:15.775023242+00:00",
        "deviceInfo": {"deviceName": "roof", "devEui": "0101010101010101"},
        "object": {"wind": {"speed": 36.0, "dir": "NW"}, "temperature_c": "7.25"},
    }
    columns = {
        "air_temperature_c": "$.object.temperature_c",
        "wind_speed_m_s": {"path": "$.object.wind.speed", "unit": "km/h"},
        "wind_from_deg": {"path": "$['object']['wind']['dir']", "unit": "compass"},
    }
    of = rule("application/+/device/+/event/up", station="$.deviceInfo.deviceName", time="$.time", columns=columns)
    said = read(of, ("application/7/device/0101010101010101/event/up", event))
    assert rows(said) == [("roof", datetime(2026, 6, 1, 11, 34, 15, 775023, tzinfo=UTC), 7.25, 10.0, 315.0)]


def test_bare_numbers_count_as_observed_when_they_came_each_at_a_moment_of_its_own():
    of = rule(
        "sensors/{station}/temperature", time="arrival", columns={"air_temperature_c": {"path": "$", "unit": "°F"}}
    )
    said = read(
        of, ("sensors/a/temperature", "50"), ("sensors/a/temperature", " 59.0\n"), ("sensors/b/temperature", "nan")
    )
    first, second = (NOON - timedelta(microseconds=left) for left in (9, 8))
    assert rows(said) == [("a", first, pytest.approx(10.0)), ("a", second, pytest.approx(15.0))]
    assert said.doubts == []


def test_without_a_word_on_time_the_arrival_is_doubted():
    of = rule("sensors/{station}/temperature", time=None, columns={"air_temperature_c": "$"})
    [doubt] = read(of, ("sensors/a/temperature", "5")).doubts
    assert 'set time = "arrival"' in doubt


@pytest.mark.parametrize(
    ("time", "written", "zone", "observed"),
    [
        ("$.at", "2026-06-01T11:00:00Z", "UTC", NOON - timedelta(hours=1)),
        ("$.at", "2026-06-01T13:00:00+02:00", "UTC", NOON - timedelta(hours=1)),
        ("$.at", "2026-06-01T13:00:00", "Europe/Berlin", NOON - timedelta(hours=1)),
        ({"path": "$.at", "epoch": "s"}, 1780311600, "UTC", NOON - timedelta(hours=1)),
        ({"path": "$.at", "epoch": "s"}, "1780311600.5", "UTC", NOON - timedelta(minutes=59, seconds=59.5)),
        ({"path": "$.at", "epoch": "ms"}, 1780311600123, "UTC", NOON - timedelta(minutes=59, seconds=59.877)),
    ],
)
def test_times_come_as_text_or_counted_since_1970(time, written, zone, observed):
    said = read(rule(time=time), ("garden/a/up", {"at": written, "t": 1}), zone=zone)
    assert rows(said) == [("a", observed, 1.0)]


def test_local_times_of_the_hour_that_comes_twice_are_told_apart_or_left_open():
    at = [
        ("garden/a/up", {"at": f"2025-10-26T{clock}", "t": 1})
        for clock in ("01:30", "02:00", "02:30", "02:00", "02:30")
    ]
    said = read(rule(time="$.at"), *at, zone="Europe/Berlin")
    hours = [f"{observed:%H:%M}" for _, observed, _ in rows(said)]
    assert hours == ["23:30", "00:00", "00:30", "01:00", "01:30"]
    alone = read(rule(time="$.at"), *at[3:], zone="Europe/Berlin").readings
    assert (alone["later_at"] - alone["observed_at"]).to_list() == [timedelta(hours=1)] * 2


def test_a_message_is_here_whatever_the_usual_delay_is():
    said = read(
        rule(),
        *[("garden/a/up", {"at": f"2026-06-01T{hour}:00:00Z", "t": 1}) for hour in (9, 11)],
        delay=timedelta(hours=2),
    )
    assert said.readings["received_at"].to_list() == [NOON - timedelta(hours=1), NOON]


@pytest.mark.parametrize(
    ("payload", "column", "value", "reason"),
    [
        ("hello", "payload", "hello", "no JSON"),
        ('{"at": "2026-06-01T', "payload", '{"at": "2026-06-01T', "no JSON"),
        ({"t": 1}, "$.at", None, "no time"),
        ({"at": "yesterday", "t": 1}, "$.at", "yesterday", "no time in the form ISO 8601, in UTC without an offset"),
        (
            {"at": "0001-01-01T00:00:00Z", "t": 1},
            "$.at",
            "0001-01-01T00:00:00Z",
            BEYOND_CALENDAR,
        ),
        ({"at": "2026-06-01T11:00:00Z", "t": "warm"}, "$.t", "warm", "no finite number"),
        ({"at": "2026-06-01T11:00:00Z", "t": [1]}, "$.t", "[1]", "no finite number"),
    ],
)
def test_what_cannot_be_read_is_a_row_with_its_reason_and_the_next_is_read(payload, column, value, reason):
    said = read(rule(), ("garden/a/up", payload), ("garden/b/up", {"at": "2026-06-01T11:00:00Z", "t": 2}))
    assert rows(said)[1] == ("b", NOON - timedelta(hours=1), 2.0)
    assert reasons(said) == [(0, column, value, reason)]


def test_a_message_without_a_station_is_a_problem():
    of = rule("garden/up", station="$.id")
    said = read(
        of,
        ("garden/up", {"at": "2026-06-01T11:00:00Z", "t": 2}),
        ("garden/up", {"at": "2026-06-01T11:00:00Z", "t": 2, "id": 7}),
    )
    assert [station for station, *_ in rows(said)] == [None, "7"]
    assert [reason for *_, reason in reasons(said)] == ["no station"]


def test_messages_of_later_wait_and_are_pointed_at():
    said = read(
        rule(),
        ("garden/a/up", {"at": "2026-06-01T12:00:00Z", "t": 1}),
        ("garden/a/up", {"at": "2026-06-01T12:00:01Z", "t": 2}),
        ("garden/b/up", {"at": "2026-06-01T14:00:00Z", "t": 3}),
    )
    assert rows(said) == [("a", NOON, 1.0)]
    assert said.waits.to_list() == [2, 3]
    assert "for example 2026-06-01T14:00:00Z by garden/b/up" in said.doubts[0]


def test_a_path_at_which_there_is_never_anything_is_pointed_at():
    messages = [("garden/a/up", {"at": "2026-06-01T11:00:00Z", "temp": 3})] * 2
    said = read(rule(), *messages)
    assert rows(said) == []
    example = f"garden/a/up {json.dumps(messages[0][1])}"
    assert said.doubts == [
        f"no message on garden/{{station}}/up has a value at $.t, for example {example}: see columns"
    ]
    assert read(rule(), *messages, ("garden/a/up", {"at": "2026-06-01T11:00:00Z", "t": 3})).doubts == []


@pytest.mark.parametrize(
    ("topic", "matching", "other"),
    [
        ("a/{station}/c", {"a/b/c": "b", "a/b.d-1/c": "b.d-1"}, ["a/b/c/d", "x/a/b/c", "a/c"]),
        ("+/{station}/#", {"a/b": "b", "a/b/c/d": "b"}, ["a"]),
        ("a.b/{station}", {"a.b/c": "c"}, ["aXb/c"]),
    ],
)
def test_a_topic_names_the_station_and_others_do_not_match(topic, matching, other):
    payload = {"at": "2026-06-01T11:00:00Z", "t": 1}
    said = read(rule(topic), *((one, payload) for one in [*matching, *other]))
    assert said.readings["station_id"].to_list() == list(matching.values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"topic": "a/b"}, "say where the station is"),
        ({"topic": "a/{station}", "station": "x"}, "say where the station is"),
        ({"topic": "a/{station}/{station}"}, "once"),
        ({"topic": "a+/{station}"}, "stand for whole levels"),
        ({"topic": "#/{station}"}, "stand for whole levels"),
        ({"topic": "a/{sensor}", "station": "x"}, "stand for whole levels"),
        ({"topic": "", "station": "x"}, "no topic filter"),
        ({"columns": {}}, "at least 1"),
        ({"columns": {"air_temperature_c": "$.["}}, "is no JSONPath"),
        ({"columns": {"air_temperature_c": "temp"}}, "columns"),
        ({"time": "when"}, "time"),
        ({"topic": "a", "station": "$.."}, "is no JSONPath"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_rules_that_cannot_work_are_refused_with_the_way_out(settings, message):
    with pytest.raises(ValidationError, match=message):
        rule(**settings)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"air_temp_c": "$.t"}, "'air_temp_c' is not a variable.*air_temperature_c"),
        ({"air_temperature_c": {"path": "$.t", "unit": "hPa"}}, "hPa"),
    ],
)
def test_a_variable_or_unit_that_does_not_exist_is_named(columns, message):
    with pytest.raises(ConfigError, match=message):
        readers_of("lora", rule(columns=columns), BUILT_IN)
