"""Every command the README shows is one that there is; test_chain.py runs those of daycast."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
LINES = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
IN_TEXT = re.findall(r"`((?:\.venv/bin/)?daycast (?:init|run|doctor))`", README)


def test_the_readme_shows_commands():
    assert len(LINES) >= 5


ON_ALL_CORES = (
    "--numprocesses $(.venv/bin/python -c 'import os; print(min(os.cpu_count(), 3) + 2)') "
    "--dist loadfile --no-loadscope-reorder --durations 25"
)
TARGETS = {
    "make run": ".venv/bin/daycast run",
    "make test": f"PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest {ON_ALL_CORES} -m 'not slow and not soak'",
    "make test-all": f"PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest {ON_ALL_CORES} -m 'not soak'",
    "make soak": ".venv/bin/python -m pytest -m soak -s tests/soak",
}


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_a_make_target_exists_and_ends_in_the_command_it_stands_for(line):
    command = ["make", "--dry-run", "--no-print-directory", line.split()[1]]
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    shown = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout
    assert shown.strip().splitlines()[-1] == TARGETS[line]


def test_no_command_of_the_readme_is_left_untested():
    unknown = [line for line in LINES if not line.startswith(("make ", ".venv/bin/daycast "))]
    assert not unknown
