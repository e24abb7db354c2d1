"""Someone points daycast at their own CSV files, rightly and wrongly."""

import math
import os
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from integration.chain.tables import copy_of, every_table, rows_of

pytestmark = pytest.mark.slow
README = (Path(__file__).parents[3] / "README.md").read_text()
EXAMPLE = README.split("```toml\n")[1].split("```")[0]
START = datetime(2026, 3, 20, tzinfo=UTC)  # the clocks of Berlin go forward on the 29th
UNTIL = "2026-04-01T12:00:00Z"


def write_garden(folder: Path, hours: int = 300, change=lambda lines: lines) -> Path:
    """The README's example and a file that fits it: local time of Berlin, degrees Fahrenheit, one column nobody asked for."""
    from zoneinfo import ZoneInfo

    lines = ["time,station,temp,rain,battery"]
    for hour in range(hours):
        local = (START + timedelta(hours=hour)).astimezone(ZoneInfo("Europe/Berlin"))
        celsius = 8 + 5 * math.sin(2 * math.pi * (hour - 9) / 24)
        lines.append(f"{local:%Y-%m-%dT%H:%M},garden-1,{celsius * 9 / 5 + 32:.1f},{0.2 * (hour % 10 == 0):.1f},3.7")
    (folder / "readings").mkdir(exist_ok=True)
    (folder / "readings" / "garden.csv").write_text("\n".join(change(lines)) + "\n")
    (folder / "daycast.toml").write_text(EXAMPLE)
    return folder


def test_the_example_of_the_readme_ends_with_forecasts_and_says_that_the_base_network_made_them(daycast, tmp_path):
    done = daycast(write_garden(tmp_path), "run", "--until", UNTIL)
    assert done.returncode == 0, done.stderr
    forecasts = rows_of(tmp_path, "forecasts")
    assert len(forecasts) == 2 * 24
    assert {row[13].split("-")[0] for row in forecasts} == {"base"}
    observed = {row[1]: row for row in rows_of(tmp_path, "observation_versions")}
    # on 29 March 2026 the clocks of Berlin go from 01:59 to 03:00, which is 01:00 UTC
    hour = (datetime(2026, 3, 29, 1, tzinfo=UTC) - START) // timedelta(hours=1)
    expected = round((8 + 5 * math.sin(2 * math.pi * (hour - 9) / 24)) * 9 / 5 + 32, 1)
    assert float(observed["2026-03-29 01:00:00+00"][4]) == pytest.approx((expected - 32) * 5 / 9)


def test_a_file_that_grew_brings_only_its_new_rows(daycast, tmp_path):
    daycast(write_garden(tmp_path, 200), "ingest", "--until", UNTIL)
    done = daycast(write_garden(tmp_path, 260), "ingest", "--until", UNTIL)
    assert "260 rows delivered, 260 kept (200 known before, 0 revised), 0 refused" in done.stdout
    assert len(rows_of(tmp_path, "readings")) == 260


def test_two_rows_for_one_hour_become_one_observation_and_the_last_counts(daycast, tmp_path):
    def double(lines):
        return [*lines, lines[100].rsplit(",", 3)[0] + ",50.0,0.0,3.7"]

    assert daycast(write_garden(tmp_path, change=double), "ingest", "--until", UNTIL).returncode == 0
    hour = f"{START + timedelta(hours=99):%Y-%m-%d %H:%M:%S+00}"
    versions = [row for row in rows_of(tmp_path, "observation_versions") if row[1] == hour]
    assert {round(float(row[4]), 6) for row in versions} == {10.0}  # twice: once the next hour came it was a spike
    assert len(rows_of(tmp_path, "readings")) == 301


def test_a_word_where_a_number_belongs_is_quarantined_as_it_came(daycast, tmp_path):
    def spoil(lines):
        return [*lines[:50], lines[50].rsplit(",", 3)[0] + ",broken,0.0,3.7", *lines[51:]]

    done = daycast(write_garden(tmp_path, change=spoil), "ingest", "--until", UNTIL)
    assert done.returncode == 0
    assert "300 rows delivered, 300 kept (0 known before, 0 revised), 0 refused, 1 value refused" in done.stdout
    (rejected,) = rows_of(tmp_path, "rejected_readings")
    assert rejected[2:4] == ("temp", "broken")
    assert '"battery":"3.7"' in rejected[5]


@pytest.fixture(scope="module")
def garden(daycast, tmp_path_factory):
    """A garden of which the first hundred hours were ingested."""
    folder = write_garden(tmp_path_factory.mktemp("garden"), 100)
    assert daycast(folder, "ingest", "--until", UNTIL).returncode == 0
    return folder


BAD = {
    "no file matches": (lambda f: (f / "readings" / "garden.csv").unlink(), r"readings/\*\.csv"),
    "an empty file": (lambda f: empty_since_long(f / "readings" / "garden.csv"), "garden.csv"),
    "a picture": (
        lambda f: (f / "readings" / "garden.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00" * 40),
        "garden.csv",
    ),
    "another header": (lambda f: edit(f, "readings/garden.csv", "temp", "temperature"), "temp"),
    "all words": (
        lambda f: edit(f, "readings/garden.csv", r"garden-1,[-\d.]+", "garden-1,warm"),
        "(?s)300 of 300.*temp.*warm",
    ),
    "the wrong unit": (lambda f: edit(f, "daycast.toml", "°F", "°X"), "°X"),
    "a time zone that is none": (
        lambda f: edit(f, "daycast.toml", "Europe/Berlin", "Europe/Berln"),
        "Europe/Berln.*Europe/Berlin",
    ),
    "a misspelt key": (lambda f: edit(f, "daycast.toml", "timezone", "timezon"), "timezon.*timezone"),
    "a broken file": (lambda f: edit(f, "daycast.toml", r"\[\[sources\]\]", "[[sources"), "not valid TOML"),
    "no such variable": (lambda f: edit(f, "daycast.toml", "precipitation_mm", "rain_mm"), "rain_mm"),
}


def empty_since_long(path: Path) -> None:
    """Empty the file; one that was emptied just now may still be being written, and would be left for the next run."""
    path.write_text("")
    os.utime(path, (0, 0))


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    path.write_text(re.sub(old, new, path.read_text()))


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_clear_line_and_leaves_the_warehouse_as_it_was(daycast, garden, tmp_path, case):
    spoil, message = BAD[case]
    copy_of(garden, tmp_path)
    before = taken_in(tmp_path)
    write_garden(tmp_path, 300)
    spoil(tmp_path)
    done = daycast(tmp_path, "ingest", "--until", UNTIL)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(errors) == 1, done.stderr
    assert re.search(message, errors[0])
    assert taken_in(tmp_path) == before


def taken_in(folder: Path) -> dict[str, list[tuple]]:
    """Every table, except the accounts of what was refused whole."""
    tables = every_table(folder)
    refused = {row[0] for row in tables["batches"] if int(row[7]) == 0}
    return tables | {
        name: [row for row in tables[name] if row[0] not in refused] for name in ("batches", "rejected_readings")
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["forecast"], "no champion.*retrain"),
        (["run", "--until", "yesterday"], "'yesterday' is no time"),
        (["run", "--until", "2999-01-01"], "future"),
        (["sql", "select 1"], "no published file"),
        (["models", "promote", "x"], "no model 'x'"),
        (["models", "rollback"], "nothing to roll back"),
        (["backtest", "--since", "2026-02-01", "--until", "2026-01-01"], "not after"),
        (["ingest", "--source", "gardn"], "gardn.*garden"),
        (["run", "--config", "other.toml"], "other.toml.*daycast init"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_said_in_one_line(daycast, tmp_path, arguments, message):
    done = daycast(write_garden(tmp_path, 30), *arguments)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert re.search(message, done.stderr)


def test_init_from_a_file_writes_a_configuration_that_reads_it(daycast, tmp_path):
    write_garden(tmp_path, 100)
    (tmp_path / "daycast.toml").unlink()
    done = daycast(tmp_path, "init", "--from", "readings/garden.csv")
    assert done.returncode == 0, done.stderr
    assert "look at each guess" in done.stdout
    configuration = tomllib.loads((tmp_path / "daycast.toml").read_text())
    assert [source["files"] for source in configuration["sources"]] == ["readings/garden.csv"]
    assert configuration["ingest"]["refuse_above"] == 0.2  # the rest of the template
    ingested = daycast(tmp_path, "ingest", "--until", UNTIL)
    assert ingested.returncode == 0, ingested.stderr
    again = daycast(tmp_path, "init", "--from", "readings/garden.csv")
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert "--print" in again.stderr


def test_init_prints_the_table_and_writes_nothing(daycast, tmp_path):
    write_garden(tmp_path, 100)
    before = (tmp_path / "daycast.toml").read_text()
    done = daycast(tmp_path, "init", "--from", "readings/garden.csv", "--print")
    assert done.returncode == 0, done.stderr
    assert list(tomllib.loads(done.stdout)) == ["sources"]
    assert (tmp_path / "daycast.toml").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "readings/none.csv"], "none.csv cannot be read"),
        (["--from", "daycast.toml"], "daycast.toml"),
        (["--print"], "--from FILE"),
    ],
)
def test_init_says_in_one_line_what_it_cannot_look_at(daycast, tmp_path, arguments, message):
    write_garden(tmp_path, 30)
    done = daycast(tmp_path, "init", "--config", "new.toml", *arguments)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert message in done.stderr
    assert not (tmp_path / "new.toml").exists()


def test_init_writes_a_file_once(daycast, tmp_path):
    assert daycast(tmp_path, "init").returncode == 0
    assert tomllib.loads((tmp_path / "daycast.toml").read_text())["data"] == "data"
    again = daycast(tmp_path, "init")
    assert again.returncode == 1
    assert "exists already" in again.stderr
