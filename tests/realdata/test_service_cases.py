"""Services as they are in the cases: each run from zero to observations against a server that gives the case's files."""

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daycast.errors import SourceError
from daycast.settings import Settings
from daycast.steps.doctor import examine
from daycast.steps.ingest import ingest_source
from daycast.times import parse_time
from unit.sources.http_server import Answer, Request, Served, serve

CASES = Path(__file__).parents[3] / "shared" / "cases"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not CASES.is_dir(), reason=f"the folder of cases is not at {CASES}"),
]
FAST = {"retries": 0, "requests_per_second": 100_000, "timeout": "60s"}


def settings_of(folder: Path, **source: object) -> Settings:
    return Settings.model_validate({"sources": [source | {"http": FAST}]}, context={"folder": folder})


def observed(settings: Settings, now: datetime) -> dict[tuple[str, datetime, str], float]:
    """Every value there is, by station, hour and variable."""
    with settings.warehouse.read(now) as con:
        rows = con.sql("from observations").pl()
    names = [name for name in settings.glossary if name in rows.columns]
    long = rows.unpivot(names, index=["station_id", "observed_at"]).drop_nulls("value")
    return {(station, hour, name): value for station, hour, name, value in long.iter_rows()}


def expected(case: str) -> dict[tuple[str, datetime, str], float]:
    with (CASES / case / "expected.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        (row["station_id"], parse_time(row["observed_at"]), row["variable"]): pytest.approx(
            float(row["value"]), abs=1e-3
        )
        for row in rows
        if row["value"]
    }


def test_isd_lite_that_has_ended_is_told_of_by_ingest_and_doctor(tmp_path):
    case = CASES / "isd_lite_ended"
    body = gzip.compress((case / "010010-99999-2025.txt").read_bytes())

    def answer(request: Request) -> Answer:
        if request.path == "/isd-history.csv":
            return Answer(body=(case / "isd-history.csv").read_bytes(), content_type="text/csv")
        return Answer(body=body) if request.path == "/isd-lite/2025/010010-99999-2025.gz" else Answer(status=404)

    def configured(server: Served) -> Settings:
        archive = {"archive": f"{server.url}/isd-lite", "stations": ["010010-99999"], "start": "2025-01-01"}
        return settings_of(tmp_path, kind="isd_lite", name="noaa", **archive)

    now = datetime(2026, 2, 1, tzinfo=UTC)
    with serve(answer) as server:
        settings = configured(server)
        checks = [str(check) for check in examine(settings, now)]
        first, second = (ingest_source(settings, settings.sources[0], now).doubts for _ in range(2))
    assert observed(settings, now) == expected("isd_lite_ended")
    warned = [check for check in checks if check.startswith("warn source noaa: ")]
    assert [check.removeprefix("warn source noaa: ") for check in warned] == list(first) == list(second)
    assert all(
        word in first[0] for word in ("010010-99999", "2026", "404", "2025", "ISD-Lite seems to have ended", "ghcnh")
    )


def test_an_error_with_status_200_is_told_with_its_reason_and_nothing_is_taken_in(tmp_path):
    body = (CASES / "open_meteo_error_200" / "body.json").read_bytes()
    place = {"id": "zurich", "latitude": 47.37, "longitude": 8.55}
    now = datetime(2026, 2, 1, tzinfo=UTC)
    with serve(lambda _: Answer(body=body)) as server:
        settings = settings_of(
            tmp_path, kind="open_meteo", name="grid", url=f"{server.url}/v1/archive", stations=[place]
        )
        with pytest.raises(SourceError, match=r"Something went wrong\."):
            ingest_source(settings, settings.sources[0], now)
    assert observed(settings, now) == {}


def test_a_next_page_at_localhost_is_asked_for_at_the_configured_root(tmp_path):
    case = CASES / "frost_localhost_next_link"

    def answer(request: Request) -> Answer:
        path = request.path.removeprefix("/FROST-Server/v1.1/")
        page = "2" if request.query.get("$skip") == "3" else "1"
        names = {
            "Things": "things.json",
            "Datastreams(4)/Observations": f"observations_4_page_{page}.json",
            "Datastreams(5)/Observations": "observations_5.json",
        }
        return Answer(body=(case / names[path]).read_bytes())

    now = datetime(2025, 7, 1, tzinfo=UTC)
    columns = {"air_temperature_c": "air_temperature", "precipitation_mm": "rain"}
    with serve(answer) as server:
        root = f"{server.url}/FROST-Server/v1.1"
        settings = settings_of(tmp_path, kind="sensorthings", name="masts", url=root, columns=columns)
        ingested = ingest_source(settings, settings.sources[0], now)
    assert observed(settings, now) == expected("frost_localhost_next_link")
    assert ingested.refused == 1
    with settings.warehouse.read(now) as con:
        refused = con.sql("select value, reason from rejected_readings").pl()
        receipts = con.sql("select received_at = observed_at as at_once from readings").pl()
    assert "longest_interval" in refused["reason"].item()
    assert receipts["at_once"].all()
