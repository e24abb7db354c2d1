"""A slow source starves nobody: while it is waited for nothing is held, and after its time what came is stored."""

import json
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from daycast.errors import SourceError
from daycast.flows import warehouse_task as slots
from daycast.settings import Settings
from daycast.sources.batch import SourceBatch
from daycast.steps.ingest import Ingested, ingest_source
from daycast.steps.publish import publish_tables
from daycast.times import HOUR
from daycast.variables import Variable
from integration.by_hand import ByHand, by_hand
from unit.sources.http_server import Answer, Request, serve

pytestmark = pytest.mark.slow

START = datetime(2026, 2, 1, tzinfo=UTC)
NOW = START + timedelta(days=20)
DAYS = 5  # a piece
OPEN = "import duckdb, sys; duckdb.connect(sys.argv[1]).close()"


@pytest.fixture
def turns(monkeypatch) -> list[str]:
    """As for a run of a worker: what was done with the slot, which nobody else wants."""
    done: list[str] = []

    @contextmanager
    def concurrency(name: str, **_: object) -> Iterator[None]:
        assert name == "warehouse"
        done.append("taken")
        yield
        done.append("given back")

    monkeypatch.setattr(slots, "concurrency", concurrency)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "one")
    return done


@dataclass(frozen=True)
class Looking(ByHand):
    """Calls `look` where it is waited for."""

    look: Callable[[], None] = lambda: None

    def fetch(
        self, since: datetime | None, until: datetime, variables: Mapping[str, Variable], seen: Collection[str]
    ) -> Iterator[SourceBatch]:
        self.look()
        yield from super().fetch(since, until, variables, seen)

    def stations(self) -> pl.DataFrame:
        self.look()
        return super().stations()


def some_readings() -> SourceBatch:
    keys = {"station_id": "a", "observed_at": START, "received_at": START}
    return by_hand(pl.DataFrame([keys | {"air_temperature_c": 1.0}]).cast({pl.Datetime: pl.Datetime("us", "UTC")}))


def test_while_a_source_is_waited_for_neither_the_slot_nor_the_warehouse_is_held(turns, tmp_path) -> None:
    settings = Settings.model_validate({}, context={"folder": tmp_path})
    looked = []

    def look() -> None:
        looked.append(turns[-1])
        subprocess.run([sys.executable, "-c", OPEN, settings.warehouse_file], check=True)

    source = Looking((some_readings(),), look=look)
    ingested = slots.warehouse_task(ingest_source).fn(settings, source, NOW)
    assert ingested.kept == 1
    assert looked == ["given back", "given back"]
    assert turns == ["taken", "given back"] * (len(turns) // 2)


def _without_publication(monkeypatch, instead: Callable[..., None]) -> None:
    monkeypatch.setattr("daycast.steps.publish.publish", instead)
    monkeypatch.setattr("daycast.steps.publish.remove_unnamed", lambda *_: None)


def test_every_step_has_the_slot_while_it_has_the_warehouse_open(turns, tmp_path, monkeypatch) -> None:
    settings = Settings.model_validate({}, context={"folder": tmp_path})
    _without_publication(monkeypatch, lambda *_: turns.append("published"))
    slots.warehouse_task(publish_tables).fn(settings, NOW)
    assert turns == ["taken", "published", "given back"]


def test_a_slot_that_cannot_be_given_back_takes_nothing_back(turns, tmp_path, monkeypatch, caplog) -> None:
    @contextmanager
    def concurrency(*_: object, **__: object) -> Iterator[None]:
        yield
        raise OSError("the server is gone")

    monkeypatch.setattr(slots, "concurrency", concurrency)
    _without_publication(monkeypatch, lambda *_: None)
    settings = Settings.model_validate({}, context={"folder": tmp_path})
    assert slots.warehouse_task(publish_tables).fn(settings, NOW) == settings.published
    assert "the warehouse slot becomes free only in a minute: OSError: the server is gone" in caplog.text


def weather(request: Request) -> Answer:
    """One place, hourly, for the days asked for, in Open-Meteo's form."""
    first, last = (datetime.fromisoformat(request.query[f"{end}_date"]).replace(tzinfo=UTC) for end in ("start", "end"))
    hours = range((first - START) // HOUR, (last - START) // HOUR + 24)
    hourly = {"time": [int((START + hour * HOUR).timestamp()) for hour in hours], "temperature_2m": [5.0] * len(hours)}
    units = {"time": "unixtime", "temperature_2m": "°C"}
    place = {"latitude": 47.4, "longitude": 8.6, "elevation": 408.0, "utc_offset_seconds": 0}
    return Answer(body=json.dumps(place | {"hourly_units": units, "hourly": hourly}).encode())


def asking(url: str, folder) -> Settings:
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
        "http": {"timeout": "1h", "requests_per_second": 1e6},
    }
    return Settings.model_validate({"sources": [source]}, context={"folder": folder})


def held(settings: Settings) -> int:
    with settings.warehouse.write(NOW) as con:
        return con.execute("select count(*) from readings").fetchall()[0][0]


def ingest_in_little_time(settings: Settings) -> Ingested:
    """In three seconds; where that is too little for this machine to take in anything, again."""
    for _ in range(100):
        with suppress(SourceError):
            return ingest_source(settings, settings.sources[0], NOW, minutes=0.05)
    raise AssertionError


def test_after_its_time_what_came_is_stored_and_the_next_run_takes_in_the_rest(tmp_path) -> None:
    slow = True

    def drip_the_rest(request: Request) -> Answer:
        late = slow and request.query["start_date"] >= "2026-02-11"
        return Answer(body=b" " * 10**6, drip_s=0.05) if late else weather(request)

    with serve(drip_the_rest) as server:
        settings = asking(server.url, tmp_path)
        ingested = ingest_in_little_time(settings)
        assert str(ingested).endswith("stopped after 0.05 min (ingest.max_minutes), the rest is left to the next run")
        assert 0 < held(settings) < 20 * 24
        slow, asked = False, len(server.requests)
        rest = ingest_source(settings, settings.sources[0], NOW)
        assert rest.stopped_after_min is None
        assert held(settings) == 20 * 24
        assert "2026-02-01" not in {request.query["start_date"] for request in server.requests[asked:]}  # it is held


def test_a_source_that_gives_nothing_in_its_time_is_an_error(tmp_path) -> None:
    with serve(lambda _: Answer(drip_head_s=0.05)) as server:
        settings = asking(server.url, tmp_path)
        with pytest.raises(SourceError, match=r"'grid' gave nothing new in 0.01 min, and was not done"):
            ingest_source(settings, settings.sources[0], NOW, minutes=0.01)
