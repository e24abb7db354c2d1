"""A service that misbehaves costs no reading that came before, and no reading counts twice when it is well again."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daycast.errors import SourceError
from daycast.settings import Settings
from daycast.steps.ingest import ingest_source
from daycast.times import HOUR
from unit.sources.http_server import Answer, Request, serve

pytestmark = pytest.mark.slow

START = datetime(2026, 2, 1, tzinfo=UTC)
NOW = START + timedelta(days=20)
DAYS = 5  # a piece
CALM = {"timeout": "60s", "retries": 1, "requests_per_second": 1e6}


def temperature(hour: int) -> float:
    """What was measured `hour` hours after START."""
    return round(5 + hour % 24 / 4 + hour / 100, 2)


def weather(request: Request) -> Answer:
    """One place, hourly, for the days asked for, in Open-Meteo's form."""
    first, last = (datetime.fromisoformat(request.query[f"{end}_date"]).replace(tzinfo=UTC) for end in ("start", "end"))
    hours = range((first - START) // HOUR, (last - START) // HOUR + 24)
    body = {
        "latitude": 47.4,
        "longitude": 8.6,
        "elevation": 408.0,
        "utc_offset_seconds": 0,
        "hourly_units": {"time": "unixtime", "temperature_2m": "°C"},
        "hourly": {
            "time": [int((START + hour * HOUR).timestamp()) for hour in hours],
            "temperature_2m": [temperature(hour) for hour in hours],
        },
    }
    return Answer(body=json.dumps(body).encode())


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    monkeypatch.setattr("daycast.sources.http.response.FIRST_BACKOFF_S", 0.01)

    def settings(url: str, **http: object) -> Settings:
        source = {
            "kind": "open_meteo",
            "name": "grid",
            "url": f"{url}/v1/archive",
            "stations": [{"id": "zurich", "latitude": 47.37, "longitude": 8.55}],
            "columns": {"air_temperature_c": "temperature_2m"},
            "start": START.date(),
            "reporting_delay": "1h",
            "look_back": "2d",
            "piece_days": DAYS,
            "http": CALM | http,
        }
        return Settings.model_validate({"sources": [source]}, context={"folder": tmp_path})

    return settings


def held(settings: Settings) -> list[tuple[datetime, float]]:
    """What is in the warehouse: every reading's time and temperature."""
    with settings.warehouse.write(NOW) as con:
        return con.sql("select observed_at, air_temperature_c from readings order by all").pl().rows()


def expected(until: datetime) -> list[tuple[datetime, float]]:
    return [(START + hour * HOUR, temperature(hour)) for hour in range((until - HOUR - START) // HOUR + 1)]


MISBEHAVIOUR = {
    "500": Answer(status=500),
    "429": Answer(status=429, headers={"Retry-After": "0"}),
    "truncated": Answer(body=b'{"hourly": {"time": [1, 2' + b" " * 500, truncate_to=30),
    "a web page": Answer(body=b"<html>under maintenance</html>", content_type="text/html"),
}


@pytest.mark.parametrize("how", MISBEHAVIOUR)
def test_a_service_that_recovers_in_time_is_waited_for(configured, how: str) -> None:
    def moody(request: Request) -> Answer:
        return MISBEHAVIOUR[how] if request.number == 1 else weather(request)

    with serve(moody) as server:
        settings = configured(server.url)
        ingest_source(settings, settings.sources[0], NOW)
    assert held(settings) == expected(NOW)


def test_an_answer_that_does_not_come_is_asked_for_again(configured) -> None:
    with serve(lambda request: Answer(delay_s=3600) if request.number == 1 else weather(request)) as server:
        settings = configured(server.url, timeout="1s", retries=20)
        ingest_source(settings, settings.sources[0], NOW)
    assert held(settings) == expected(NOW)


@pytest.mark.parametrize("how", ["500", "truncated", "a web page"])
def test_a_service_that_stays_ill_loses_nothing_that_came_before_and_doubles_nothing_after(
    configured, how: str
) -> None:
    broken = True

    def ill(request: Request) -> Answer:
        late = request.query["start_date"] > "2026-02-09"
        return MISBEHAVIOUR[how] if broken and late else weather(request)

    with serve(ill) as server:
        settings = configured(server.url)
        with pytest.raises(SourceError, match="2026-02-1"):
            ingest_source(settings, settings.sources[0], NOW)
        before = held(settings)
        assert before
        assert before == expected(NOW)[: len(before)]
        broken = False
        ingest_source(settings, settings.sources[0], NOW)
        assert held(settings) == expected(NOW)
        asked = len(server.requests)
        later = NOW + 3 * HOUR
        ingest_source(settings, settings.sources[0], later)
        assert held(settings) == expected(later)
        assert len(server.requests) == asked + 1  # it goes on where it ended, with a look back of two days
