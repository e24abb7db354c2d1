"""What README and guide show is what happens: their commands run, and what they print is what is printed there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from house.test_guide import ROOT, blocks, shown_commands
from integration.chain.conftest import UNTIL
from integration.chain.tables import copy_of
from integration.chain.test_own_csv import EXAMPLE, write_garden

pytestmark = pytest.mark.slow  # test_chain.py runs the README's commands for everybody
README = (ROOT / "README.md").read_text()
PRINTED = [text for page, text in blocks("text") if page == "README"]
IN_A_STORY = {"up --detach", "trigger retrain cell=lstm --dry-run", "down"}  # of test_by_itself.py
ON_A_LAKE = {"migrate-warehouse --to lake", "migrate-warehouse --to file"}  # of lake/test_same_on_both.py
MASTS = """
[[sources]]
kind = "csv"
name = "masts"
files = "masts.csv"
station = { column = "mast" }
time = { column = "time" }
timezone = "UTC"
[sources.columns]
wind_speed_m_s = "wind"
"""


def mask_numbers(text: str) -> list[str]:
    """The words of each line, with 0 in place of every number and its sign: the numbers are those of another day."""
    return [" ".join(re.sub(r"-?\d+(?:\.\d+)?", "0", line).split()) for line in text.splitlines()]


def test_the_rows_of_the_readme_are_what_its_query_prints(chain, daycast):
    (query,) = re.findall(r'^\.venv/bin/daycast sql "([^"]+)"$', README, re.MULTILINE)
    done = daycast(chain, "sql", query)
    assert mask_numbers(done.stdout) == mask_numbers(PRINTED[0])


@pytest.fixture
def garden(tmp_path: Path) -> Path:
    """The configuration of the README, and a file of 90 days that has its columns and no other."""
    return write_garden(tmp_path, 2161, lambda lines: [line.rsplit(",", 1)[0] for line in lines])


def unwrapped(text: str) -> str:
    """What doctor prints, with each check in one line: where it is wrapped depends on the length of the folder's name."""
    return re.sub(r"\n {5}(?=\S)", " ", text)


def test_the_readme_shows_what_doctor_prints(garden: Path, daycast):
    done = daycast(garden, "doctor", clock="2026-11-28T20:00:00Z")
    printed = unwrapped(done.stdout).replace(str(garden), "/home/ada/garden")
    lines = re.sub(r"\d+ GB", "72 GB", printed).splitlines(keepends=True)
    checks = [line for line in lines if not line.startswith(" ")]
    assert "".join(checks) == re.sub(r"(?<=runs on )\w+", "cpu", unwrapped(PRINTED[1]))
    (shown,) = (text for page, text in blocks("text") if page == "sources" and "local, Berlin" in text)
    assert "".join(lines[len(checks) - 1 :]) == shown
    assert done.returncode == 0


def test_the_readme_shows_what_doctor_prints_of_a_wrong_column(garden: Path, daycast):
    (garden / "daycast.toml").write_text(EXAMPLE.replace('"temp"', '"temperature"'))
    done = daycast(garden, "doctor", clock="2026-11-28T20:00:00Z")
    assert done.stdout.endswith(PRINTED[2])
    assert done.returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [words for words in shown_commands() if " ".join(words) not in IN_A_STORY | ON_A_LAKE],
    ids=lambda words: " ".join(words)[:60],
)
def test_a_command_that_is_shown_does_its_work(chain, daycast, tmp_path: Path, arguments: list[str]):
    folder = copy_of(chain, tmp_path)
    if {"masts", "roof", "old-roof"} & set(arguments):
        with (folder / "daycast.toml").open("a") as file:
            file.write(MASTS.replace('"masts"', f'"{arguments[2]}"'))
        (folder / "masts.csv").write_text("time,mast,wind\n2026-01-03T00:00,north,5.5\n2026-02-03T00:00,north,6.5\n")
    if "--from" in arguments:
        folder = write_garden(tmp_path)
        (folder / "daycast.toml").unlink()
    if "pretrain" in arguments:
        (snapshot, *_) = (folder / "data" / "snapshots").iterdir()
        own = [str(snapshot) if "snapshots" in word else word for word in arguments]
        arguments = [*own, "--steps", "2"]  # and not for an hour
    if "backfill" in arguments:
        let_the_champion_have_served_for_long(folder)
    done = daycast(folder, *arguments, clock=UNTIL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def let_the_champion_have_served_for_long(folder: Path) -> None:
    with duckdb.connect(folder / "data" / "warehouse.duckdb") as con:
        con.execute("update models set registered_at = registered_at - interval 30 day")
        con.execute("update promotions set promoted_at = promoted_at - interval 30 day")


def test_the_commands_that_have_tests_of_their_own_are_shown():
    assert {" ".join(words) for words in shown_commands()} >= IN_A_STORY | ON_A_LAKE


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the sources, in which the example of a source has been followed."""
    (text,) = (text for page, text in blocks("python") if page == "extending" and "class JsonLinesSource" in text)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("sql", "flows", "infra"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "src" / "daycast" / "sources" / "json_lines.py").write_text(text)
    sections = tmp_path / "src" / "daycast" / "settings" / "sections.py"
    lines = sections.read_text()
    before = r"^(?=from daycast\.sources\.noaa)"
    added = "from daycast.sources.json_lines import JsonLinesSource\n"
    lines = re.sub(before, added, lines, count=1, flags=re.MULTILINE)
    lines = re.sub(r"( *)\| SqlSource\b", r"\g<0>\n\1| JsonLinesSource", lines, count=1)
    assert lines.count("JsonLinesSource") == 2
    sections.write_text(lines)
    return tmp_path


def test_the_example_of_a_source_prints_what_the_guide_shows(clone: Path, environment):
    (configuration,) = (text for page, text in blocks("text") if page == "extending" and "json_lines" in text)
    (console,) = (text for page, text in blocks("console") if page == "extending")
    (clone / "daycast.toml").write_text(configuration)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        {"station": "roof", "time": f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}", "air_temperature_c": 5.0}
        for hour in range(1920)
    ]
    weather = [row | {"air_temperature_c": 5.0 + number % 24 / 4} for number, row in enumerate(rows)]
    (clone / "roof.jsonl").write_text("\n".join(map(json.dumps, [*weather, rows[0] | {"time": "noon"}])))
    said = []
    for line in console.splitlines():
        if line.startswith("$ "):
            said.append(line)
            program, *arguments = shlex.split(line[2:])
            done = subprocess.run(
                [sys.executable, "-m", program, *arguments],
                cwd=clone,
                env={**os.environ, **environment, "PYTHONPATH": str(clone / "src")},
                capture_output=True,
                text=True,
                check=True,
            )
            lines = unwrapped(done.stdout).replace(f"{clone}/", "").splitlines()
            said += [printed for printed in lines if "roof" in printed and not printed.startswith(" ")]
    assert "\n".join(said) == unwrapped(console.strip())
