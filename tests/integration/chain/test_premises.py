"""From zero to forecasts by the guide: WeeWX's own database, MariaDB, an MQTT broker, each a real one."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from integration import weewx
from integration.chain.tables import rows_of
from integration.servers import Broker, mariadb, mosquitto, program

pytestmark = pytest.mark.slow
GUIDE = (Path(__file__).parents[3] / "src" / "daycast" / "guide" / "databases.md").read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
UNTIL = datetime(2026, 4, 1, 12, tzinfo=UTC)
DAYS = 5


def recipe(name: str, *changes: tuple[str, str]) -> str:
    """The table of the guide with this name; each change must find what it replaces."""
    text = next(block for block in BLOCKS if f'name = "{name}"' in block)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def daycast_in(tmp_path: Path, environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess]:
    """Runs `daycast …` in a folder, with more variables in its environment."""

    def run(configuration: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        (tmp_path / "daycast.toml").write_text(configuration)
        command = [sys.executable, "-m", "daycast", *arguments]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )

    return run


def run_to_forecasts(
    run: Callable[..., subprocess.CompletedProcess], folder: Path, configuration: str, **variables: str
) -> None:
    """`daycast run`, which must end with forecasts of the next 24 hours and no refused row."""
    done = run(configuration, "run", "--until", UNTIL.isoformat(), **variables)
    assert done.returncode == 0, done.stderr
    assert ", 0 refused" in done.stdout + done.stderr
    assert {row[3] for row in rows_of(folder, "forecasts") if row}, "no forecasts"
    assert all(
        secret not in done.stdout + done.stderr for name, secret in variables.items() if not name.endswith("_USER")
    )


def observed(folder: Path, station: str, columns: str) -> list[tuple]:
    with closing(duckdb.connect(folder / "data" / "published.duckdb", read_only=True)) as con:
        con.execute("set TimeZone = 'UTC'")
        query = f"select observed_at, {columns} from observations where station_id = $station order by observed_at"
        return con.execute(query, {"station": station}).fetchall()


def assert_weewx(folder: Path) -> None:
    """Every hour of the records, in daycast's units."""
    names = list(weewx.weather(UNTIL))
    rows = observed(folder, "garden", ", ".join(names))
    assert len(rows) == 24 * DAYS
    for hour, *values in rows:
        expected = weewx.weather(hour)
        records = [hour - timedelta(minutes=weewx.INTERVAL * back) for back in range(12)]
        within = [weewx.weather(record) for record in records if record > UNTIL - timedelta(days=DAYS)]
        expected["precipitation_mm"] = sum(one["precipitation_mm"] for one in within)
        expected["wind_gust_m_s"] = max(one["wind_gust_m_s"] for one in within)
        assert dict(zip(names, values, strict=True)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("units", [weewx.US, weewx.METRIC, weewx.METRIC_WX])
def test_weewx_in_sqlite(daycast_in, tmp_path, units):
    weewx.make_sqlite(tmp_path / "weewx.sdb", UNTIL, DAYS, units)
    configuration = recipe("weewx", ("/var/lib/weewx/weewx.sdb", "weewx.sdb"))
    if units == weewx.US:
        run_to_forecasts(daycast_in, tmp_path, configuration)
    else:
        done = daycast_in(configuration, "ingest", "--until", UNTIL.isoformat())
        assert done.returncode == 0, done.stderr
        assert daycast_in(configuration, "publish").returncode == 0
    assert_weewx(tmp_path)


def test_weewx_in_mariadb_whose_clock_is_not_in_utc(daycast_in, tmp_path):
    rows = weewx.records(UNTIL, DAYS, weewx.METRIC)
    columns = ", ".join(f"`{name}`" for name in rows[0])
    values = ", ".join(str(tuple(row.values())) for row in rows)
    with mariadb(tmp_path / "db", "--default-time-zone=+05:00") as server:
        server.run(
            f"create database weewx; use weewx; {weewx.schema('DOUBLE', 'BIGINT')};"
            f"insert into archive ({columns}) values {values};"
            "create table plant (measured timestamp, written datetime, temp double);"
            "insert into plant values ('2026-04-01 10:00:00', '2026-04-01 05:00:00', 3.5);"
            "create user 'daycast'@'127.0.0.1' identified by 'open@se:same'; grant select on weewx.* to 'daycast'@'127.0.0.1'"
        )
        address = f"mysql://daycast:open%40se%3Asame@127.0.0.1:{server.port}/weewx"
        configuration = recipe("weewx", ('"/var/lib/weewx/weewx.sdb"', '{ mysql_env = "WEEWX_DB" }'))
        run_to_forecasts(daycast_in, tmp_path, configuration, WEEWX_DB=address)
        assert_weewx(tmp_path)
        table = recipe(
            "plant",
            ("plant.readings", "plant.plant"),
            (
                "select site, measured, temp, rain",
                "select 'x' as site, measured, temp, written = measured as is_same, 0.0 as rain",
            ),
        )
        done = daycast_in(table, "ingest", "--source", "plant", "--until", UNTIL.isoformat(), PLANT_DB=address)
        assert "1 rows delivered, 1 kept" in done.stdout, done.stderr
        wrong = daycast_in(table, "ingest", "--until", UNTIL.isoformat(), PLANT_DB=address.replace("same", "wrong"))
        assert wrong.returncode != 0
        assert "database 'plant' cannot be reached: Access denied for user" in wrong.stderr
        assert "wrong" not in wrong.stderr
    gone = daycast_in(table, "ingest", "--until", UNTIL.isoformat(), PLANT_DB=address)
    assert gone.returncode != 0
    assert "cannot be reached: Can't connect to server on '…'" in gone.stderr
    assert "same" not in gone.stderr
    with closing(duckdb.connect(tmp_path / "data" / "warehouse.duckdb", read_only=True)) as con:
        con.execute("set TimeZone = 'UTC'")
        [(at,)] = con.execute("select observed_at from readings where station_id = 'x'").fetchall()
    assert at == datetime(2026, 4, 1, 5, tzinfo=UTC)


def publish(broker: Broker, messages: list[tuple[str, str]], user: str, password: str) -> None:
    """Publish with quality of service 1, and wait until the broker has confirmed them all."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(user, password)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for sent in [client.publish(topic, payload, qos=1) for topic, payload in messages]:
        sent.wait_for_publish(300)
    client.disconnect()
    client.loop_stop()


def test_lorawan_and_bare_numbers_by_mosquitto(daycast_in, tmp_path):
    passwords = tmp_path / "passwords"
    done = subprocess.run(
        [program("mosquitto_passwd"), "-c", "-b", str(passwords), "daycast", "open sesame"], check=False
    )
    assert done.returncode == 0
    [lines] = re.findall(r"^```text\n(listener .*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    shown = [line.replace("/etc/mosquitto/passwords", str(passwords)) for line in lines.splitlines()[1:]]
    secret = {"MQTT_USER": "daycast", "MQTT_PASSWORD": "open sesame"}
    with mosquitto(tmp_path / "broker", *shown) as broker:
        configuration = recipe("lora", ('host = "localhost"', f'host = "127.0.0.1"\nport = {broker.port}'))
        hours = [UNTIL - timedelta(hours=back) for back in reversed(range(24 * DAYS))]
        before = daycast_in(configuration, "ingest", "--until", hours[0].isoformat(), **secret)
        assert before.returncode == 0, before.stderr
        messages = [("sensors/shed/temperature", "50")]
        for moment in hours:
            seen = weewx.weather(moment)
            temp, humidity = seen["air_temperature_c"], seen["relative_humidity_pct"]
            uplink = {"uplink_message": {"decoded_payload": {"temperature": temp, "humidity": humidity}}}
            event = {"deviceInfo": {"deviceName": "roof"}, "object": {"temperature": 10 * temp, "rain": 0.5 / 25.4}}
            stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.000000000"
            messages += [
                ("v3/garden@ttn/devices/dev1/up", json.dumps(uplink | {"received_at": f"{stamp}Z"})),
                ("application/7/device/0101/event/up", json.dumps(event | {"time": f"{stamp}+00:00"})),
            ]
        publish(broker, messages, *secret.values())
        broker.restart()
        run_to_forecasts(daycast_in, tmp_path, configuration, **secret)
        refused = daycast_in(
            configuration, "ingest", "--until", UNTIL.isoformat(), **secret | {"MQTT_PASSWORD": "guess"}
        )
        assert refused.returncode != 0
        assert "refuses the connection: Not authorized" in refused.stderr
        assert "guess" not in refused.stderr
    for station, scale in (("dev1", "relative_humidity_pct"), ("roof", "precipitation_mm")):
        rows = observed(tmp_path, station, f"air_temperature_c, {scale}")
        assert len(rows) == len(hours)
        for hour, temp, other in rows:
            seen = weewx.weather(hour) | {"precipitation_mm": 0.5}
            assert (temp, other) == (pytest.approx(seen["air_temperature_c"]), pytest.approx(seen[scale]))
    assert observed(tmp_path, "shed", "air_temperature_c") == [(UNTIL, pytest.approx(10.0))]
