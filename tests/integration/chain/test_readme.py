"""Every command the README shows does what it says."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from integration.chain.tables import copy_of

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
    "--numprocesses $(.venv/bin/python -c 'import os; print(min(os.cpu_count(), 3) + 1)') "
    "--dist loadfile --no-loadscope-reorder --durations 25"
)
TARGETS = {
    "make run": ".venv/bin/daycast run",
    "make test": f".venv/bin/python -m pytest {ON_ALL_CORES}",
    "make soak": ".venv/bin/python -m pytest -m soak -s tests/soak",
}


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_a_make_target_exists_and_ends_in_the_command_it_stands_for(line):
    command = ["make", "--dry-run", "--no-print-directory", line.split()[1]]
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    shown = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout
    assert shown.strip().splitlines()[-1] == TARGETS[line]


@pytest.mark.parametrize(
    "line", [line for line in LINES if "daycast" in line] + [line for line in IN_TEXT if "run" not in line]
)
def test_a_daycast_command_of_the_readme_succeeds(chain, daycast, tmp_path, line):
    program, *arguments = shlex.split(line)
    assert program in (".venv/bin/daycast", "daycast")
    folder = tmp_path if arguments == ["init"] else copy_of(chain, tmp_path)
    done = daycast(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_no_command_of_the_readme_is_left_untested():
    unknown = [line for line in LINES if not line.startswith(("make ", ".venv/bin/daycast "))]
    assert not unknown
