"""What an archive was asked for is remembered in the warehouse, so that the next run asks only for what may be new."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daycast.settings import Settings
from daycast.steps.ingest import Ingested, ingest_source
from unit.sources.http_server import Answer, Request, serve

LINE = "{year} 01 01 {hour:02d}    79    61 10032   229   134 -9999     0    50\n"
STATIONS = ["010010-99999", "010020-99999"]
NOW = datetime(2024, 6, 1, tzinfo=UTC)


def archive(request: Request) -> Answer:
    """Three hours of each year since 2021; of 2020 there is nothing."""
    if request.path == "/isd-history.csv":
        return Answer(body=b"USAF,WBAN,STATION NAME,LAT,LON,ELEV(M),END\n", content_type="text/csv")
    year = request.path.split("/")[2]
    if year == "2020":
        return Answer(status=404)
    if request.headers.get("If-None-Match"):
        return Answer(status=304)
    return Answer(
        body="".join(LINE.format(year=year, hour=hour) for hour in range(3)).encode(), headers={"ETag": '"v"'}
    )


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], Settings]:
    def settings(url: str) -> Settings:
        source = {
            "kind": "isd_lite",
            "name": "noaa",
            "archive": f"{url}/isd-lite",
            "stations": STATIONS,
            "start": "2020-01-01",
            "http": {"requests_per_second": 1e6, "timeout": "60s"},
        }
        return Settings.model_validate({"sources": [source]}, context={"folder": tmp_path})

    return settings


@pytest.mark.slow
def test_station_years_that_are_closed_are_asked_for_once(configured) -> None:
    with serve(archive) as server:
        settings = configured(server.url)

        def asked(now: datetime, since: datetime | None = None) -> tuple[int, Ingested]:
            before = len(server.requests)
            ingested = ingest_source(settings, settings.sources[0], now, since)
            years = [request for request in server.requests[before:] if request.path.endswith(".gz")]
            return len(years), ingested

        count, first = asked(NOW)
        assert (count, first.delivered) == (10, 24)  # two stations, five years, one of them not there
        assert asked(NOW.replace(day=2))[0] == 2  # this year's
        assert asked(NOW.replace(day=7))[0] == 2
        assert asked(NOW.replace(day=8))[0] == 4  # and, after a week, what was not there
        assert asked(NOW.replace(day=9))[0] == 2
        assert asked(NOW.replace(day=9), since=datetime(2022, 1, 15, tzinfo=UTC))[0] == 6  # on purpose
    with settings.warehouse.write(NOW) as con:
        assert con.sql("select count(*) from readings").fetchall() == [(24,)]
        assert con.sql("select count(*) from rejected_readings").fetchall() == [(0,)]
