"""`daycast init --from` on real files: how many of the tables that it writes are right, and what has to be edited in the others.

A station is called like its file where the file does not name it; that is marked as a guess, and another name is no edit.
"""

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daycast.errors import SourceError
from daycast.settings import Settings
from daycast.steps.propose import propose_source
from integration.cases.test_cases import (
    CASES,
    Case,
    differences,
    ingest_each,
    last_hour,
    read_expected,
    read_observed,
    settings_of,
)

DATA = CASES.parent / "data"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not CASES.is_dir(), reason=f"the folder of real files and situations is not at {CASES}"),
]
NOW = datetime(2026, 6, 1, tzinfo=UTC)
BERLIN, NO_WIDTH = {"timezone": "Europe/Berlin"}, {"station_width": None}
# by case: the files, what the station is called if not as proposed, and what has to be edited
FILES: dict[str, tuple[list[str], str | None, dict[str, Any]]] = {
    "clock_jitter": (["x.csv"], "L1", {}),
    "conflicting_duplicates": (["x.csv"], None, {}),
    "date_and_time_columns": (["midc.csv"], "M2", {}),
    "dst_newest_first": (["yard.csv"], None, {"timezone": "America/Chicago"}),
    "dst_sql_look_back": (["rows.csv"], None, BERLIN),
    "dst_two_files": (["logger_a.csv", "logger_b.csv"], "S", BERLIN),
    "dwd_two_products": (
        ["produkt_tu_stunde_20250119_20250120_00044.txt", "produkt_rr_stunde_20250119_20250120_00044.txt"],
        None,
        NO_WIDTH,
    ),
    "eccc": (["en_climate_hourly_ON_6106001_07-2023_P1H.csv"], None, {}),
    "ecowitt": (["ecowitt.csv"], "garden", {"timezone": "America/New_York"}),
    "encodings": (["cp1251.csv", "cp1252.csv", "shift_jis.csv", "utf16_bom.csv", "utf16_no_bom.csv"], None, {}),
    "epoch_ms": (["e.csv"], "S", {}),
    "excel_2400": (["excel.csv"], "X", BERLIN),
    "hobo": (["hobo.csv"], None, {}),
    "iem_asos": (["asos.csv"], None, {}),
    "isd_lite_ended": (["010010-99999-2025.txt"], None, {}),
    "knmi": (["uurgeg_235.txt"], None, {}),
    "lcd": (["LCD_USW00094728_2023.csv"], None, {}),
    "meteostat": (["10637.csv"], None, {}),
    "rain_counter": (["x.csv"], "X", {}),
    "standard_time_logger": (["x.csv"], "A", {"timezone": "+01:00"}),
    "station_id_zeros": (["produkt_tu_stunde_05480.txt", "produkt_rr_stunde_05480.txt"], None, {}),
    "stuck_with_gaps": (["x.csv"], None, {}),
    "tidy": (["tidy.csv"], None, {}),
    "toa5": (["station.dat"], "KPC", {}),
    "variable_added_later": (["x.csv"], "S", {}),
    "wide_stations": (["wide.csv"], None, {}),
}


@pytest.mark.parametrize("name", FILES)
def test_a_proposed_table_gives_what_is_right_with_the_edits_it_asks_for(name: str, tmp_path: Path):
    files, station, edits = FILES[name]
    written = [propose_source(CASES / name / file, CASES / name, NOW) for file in files]
    sources = [tomllib.loads(one)["sources"][0] for one in written]
    for key in [*edits, *(["station"] if station else [])]:
        assert all(
            any(line.startswith(f"{key} = ") and "# a guess: " in line for line in one.splitlines()) for one in written
        )
    called = {"station": {"constant": station}} if station else {}
    configuration = Path(__file__).parent / f"{name}.toml"
    case = Case(**(tomllib.loads(configuration.read_text()).get("case", {}) if configuration.exists() else {}))
    expected = read_expected(CASES / name / "expected.csv")
    for number, changes in enumerate([called, called | edits] if edits else [called]):
        table = {
            "sources": [{key: value for key, value in (one | changes).items() if value is not None} for one in sources]
        }
        settings = settings_of(table, CASES / name, tmp_path / f"{name}{number}")
        ingested = list(ingest_each(settings, last_hour(expected) + timedelta(days=1)))
        wrong = differences(expected, read_observed(settings), case)
        assert (wrong == []) == (changes.keys() >= edits.keys()), wrong[:3]
    assert sum(one.refused for one in ingested) == case.refused


def test_most_tables_are_right_as_they_stand_and_the_others_after_one_edit():
    edits = [len(edits) for _, _, edits in FILES.values()]
    assert (edits.count(0), edits.count(1), len(edits)) == (19, 7, 26)


@pytest.mark.parametrize(
    "file", ["isd_lite_ended/isd-history.csv", "station_id_zeros/stations.csv", "open_meteo_error_200/body.json"]
)
def test_a_file_without_readings_is_refused_in_one_line(file: str):
    with pytest.raises(SourceError, match=r"no column shows a time|a day without a clock|is JSON") as refusal:
        propose_source(CASES / file, CASES, NOW)
    assert "\n" not in str(refusal.value)


BEIJING = "beijing/PRSA_Data_Dongsi_20130301-20160229.csv.gz"


@pytest.mark.parametrize(
    ("file", "edits", "declared"),
    [
        (BEIJING, {"timezone": "Asia/Shanghai"}, "beijing"),
        ("knmi/knmi_2011_2021.parquet", {}, "knmi"),
        ("inmet/inmet_2020_2022.parquet", {}, "inmet"),
    ],
)
def test_a_proposed_table_of_a_network_reads_what_the_declared_one_reads(
    file: str, edits: dict[str, str], declared: str
):
    table = tomllib.loads((Path(__file__).parents[2] / "realdata" / f"{declared}.toml").read_text())["sources"][0]
    proposed = tomllib.loads(propose_source(DATA / file, DATA, NOW))["sources"][0]
    frames = []
    for one in (proposed | edits, {**table, "files": file, "station_list": None}):
        given = {key: value for key, value in one.items() if value is not None}
        settings = Settings.model_validate({"sources": [given]}, context={"folder": DATA})
        frames.append(next(iter(settings.sources[0].fetch(None, NOW, settings.glossary, ()))).readings)
    assert frames[0].equals(frames[1])
    assert frames[0].height > 20_000
