"""Real files that are not declared as what they are: doctor and ingest say so, with an example and what to set."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daycast.settings import Settings
from daycast.steps.doctor import examine
from integration.cases.test_cases import CASES, ingest_each, settings_of

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not CASES.is_dir(), reason=f"the folder of real files and situations is not at {CASES}"),
]
NOW = datetime(2025, 12, 1, tzinfo=UTC)
IN_LOCAL_TIME = {"time": "Time", "timezone": "America/New_York", "missing": "--"}
DWD = {"separator": ";", "missing": "-999", "time": {"column": "MESS_DATUM", "format": "%Y%m%d%H"}}
LISTED = {"file": "stations.csv", "station": "id", "latitude": "lat", "longitude": "lon", "elevation_m": "elev"}
SOURCES: dict[str, dict[str, Any]] = {
    "rain_counter": {"files": "x.csv", "columns": {"precipitation_mm": "daily_rain_mm"}},
    "ecowitt": {
        "files": "ecowitt.csv",
        "columns": {"precipitation_mm": {"column": "Daily Rain(in)", "unit": "in"}},
        **IN_LOCAL_TIME,
    },
    "eccc": {"files": "en_*.csv", "time": "Date/Time (LST)", "columns": {"wind_from_deg": "Wind Dir (10s deg)"}},
    "tidy": {"files": "tidy.csv", "station": "station", "columns": {"air_temperature_c": "value"}},
    "conflicting_duplicates": {"files": "x.csv", "station": "station", "columns": {"air_temperature_c": "temp"}},
    "station_id_zeros": {
        **DWD,
        "files": "produkt_tu_*.txt",
        "station": "STATIONS_ID",
        "columns": {"air_temperature_c": "TT_TU"},
        "station_list": LISTED,
    },
}
SAID = {
    "rain_counter": ("behaves like a counter", 'set cell_method = "counter"', "from 0.6 at 2025-03-01T05:00Z to 1.2"),
    "ecowitt": ("behaves like a counter", 'set cell_method = "counter"'),
    "eccc": ("wind_from_deg never exceeds 36", "set factor = 10"),
    "tidy": ("rows of one station and instant differ, 2 times", "air_temperature_c 18.4, 61, 0.2"),
    "conflicting_duplicates": ("rows of one station and instant differ, 1 time", "air_temperature_c 5, 25, -5"),
    "station_id_zeros": ("'05480' and '5480' differ in leading zeros only, and '5480' has no position", "= 5"),
}


def undeclared(name: str, folder: Path) -> Settings:
    source = {"kind": "csv", "name": "plain", "station": {"constant": "x"}, "time": "time", **SOURCES[name]}
    return settings_of({"sources": [source]}, CASES / name, folder)


@pytest.mark.parametrize("name", SOURCES)
def test_ingest_points_at_what_is_hardly_meant(name: str, tmp_path: Path):
    (ingested,) = ingest_each(undeclared(name, tmp_path / "case"), NOW)
    (doubt,) = ingested.doubts
    assert [part for part in SAID[name] if part not in doubt] == []


@pytest.mark.parametrize("name", SOURCES)
def test_doctor_points_at_what_is_hardly_meant_before_the_first_ingest(name: str, tmp_path: Path):
    results = list(examine(undeclared(name, tmp_path / "case"), NOW))
    doubts = [result.detail for result in results if result.is_warning and result.check == "source plain"]
    assert any(all(part in doubt for part in SAID[name]) for doubt in doubts)
