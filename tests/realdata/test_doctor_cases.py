"""Doctor on real files and situations: what it shows was counted, or calculated, by hand from the files."""

import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daycast.settings import Settings
from daycast.steps.doctor import CheckResult, examine

SHARED = Path(__file__).parents[3] / "shared"
CASES, DATA = SHARED / "cases", SHARED / "data"
CONFIGURATIONS = Path(__file__).parents[1] / "integration" / "cases"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not CASES.is_dir(), reason=f"the folder of real files and situations is not at {CASES}"),
]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def results_of(table: dict, files: Path, folder: Path) -> list[CheckResult]:
    """What doctor says of the sources of a configuration, on a copy of the files."""
    shutil.copytree(files, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)  # the original may be read-only
    table = {key: value for key, value in table.items() if key != "case"}
    settings = Settings.model_validate({"data": "state", **table}, context={"folder": folder})
    return [result for result in examine(settings, NOW) if result.check.startswith("source ")]


def lines_of(results: list[CheckResult]) -> list[str]:
    return [" ".join(line.split()) for result in results for line in result.below]


def configured(case: str) -> dict:
    return tomllib.loads((CONFIGURATIONS / f"{case}.toml").read_text())


def test_rows_that_contradict_each_other_are_counted_as_repeated_values(tmp_path: Path) -> None:
    results = results_of(configured("conflicting_duplicates"), CASES / "conflicting_duplicates", tmp_path / "case")
    assert "rows of one station and instant differ, 1 time" in str(results[1])
    assert "repeated 4 (50 %) of 8 values repeat station, time and variable" in lines_of(results)


def test_the_canadian_hours_are_shown_in_standard_time_and_in_our_units(tmp_path: Path) -> None:
    results = results_of(configured("eccc"), CASES / "eccc", tmp_path / "case")
    assert all(result.ok for result in results)
    lines = lines_of(results)
    at = next(number for number, line in enumerate(lines) if line.startswith("UTC"))
    assert [line.split()[0] for line in (lines[at + 1], lines[at + 3])] == ["05:00", "00:00"]
    assert any(line.startswith("wind direction, ° 110 130 360") for line in lines)
    assert any(line.startswith("station pressure, hPa 1000.4 1000.1 1000.1") for line in lines)


def test_marks_behind_numbers_that_are_not_declared_are_named_with_their_column(tmp_path: Path) -> None:
    table = configured("lcd")
    for column in table["sources"][0]["columns"].values():
        del column["strip"]
    (warning,) = results_of(table, CASES / "lcd", tmp_path / "case")
    assert warning.is_warning
    assert "3 values would be refused: " in str(warning)
    for cell in ("'53s'", "'0.02s'"):
        assert cell in str(warning)


def test_a_counter_that_is_summed_shows_far_too_much_rain(tmp_path: Path) -> None:
    source = {
        "kind": "csv",
        "name": "davis",
        "files": "x.csv",
        "station": {"constant": "X"},
        "time": "time",
        "columns": {"air_temperature_c": "temp", "precipitation_mm": "daily_rain_mm"},
    }
    lines = lines_of(results_of({"sources": [source]}, CASES / "rain_counter", tmp_path / "case"))
    assert any(line.startswith("rain 2025-02 0 mm, 2025-03 84.6 mm; the highest hour is 1.8 mm") for line in lines)
    source["columns"]["precipitation_mm"] = {"column": "daily_rain_mm", "cell_method": "counter"}
    lines = lines_of(results_of({"sources": [source]}, CASES / "rain_counter", tmp_path / "again"))
    assert any(line.startswith("rain 2025-03 5.4 mm; the highest hour is 0.6 mm") for line in lines)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the folder of real sensor data is not at {DATA}")
def test_all_of_beijing_is_read_and_its_days_are_warmest_when_they_should_be_by_the_sun(tmp_path: Path) -> None:
    table = tomllib.loads((Path(__file__).parent / "beijing.toml").read_text())
    (source,) = table["sources"]
    source["files"], source["station_list"]["file"] = "PRSA_Data_*.csv.gz", "stations.csv"
    (result,) = results_of({"sources": [source]}, DATA / "beijing", tmp_path / "beijing")
    assert str(result) == "ok   source beijing: 12 stations listed; 12 files have 315,648 rows, 0 problems"
    lines = lines_of([result])
    assert "stations 12: Aotizhongxin, Changping, Dingling …" in lines
    assert any(line.startswith("day warmest about 14:33 by the sun") for line in lines)
