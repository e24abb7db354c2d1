"""The command line as a shell runs it."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daycast.report.summary import example_query
from daycast.variables import BUILT_IN
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.warehouse import Warehouse

T0 = datetime(2026, 6, 1, 3, tzinfo=UTC)
STATION = 'it\'s a "$HOME" `id`'
VARIABLES = ["air_temperature_c", "precipitation_mm", "wind_speed_m_s"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A published file with the forecasts of a station whose name a shell would read, and a program `daycast`."""
    folder = tmp_path_factory.mktemp("place")
    with Warehouse(folder / "warehouse.duckdb", BUILT_IN.values()).write(T0) as con:
        for variable in VARIABLES:
            con.execute(
                "insert into forecasts "
                "select $station, $variable, $t0, $t0 + lead * interval 1 hour, lead, lead / 7, 0, 1, 2, 3, 4, 5, 6, "
                "'lstm-20260525-0123abcd', 'full', $t0, 'lstm', false, false from range(1, 25) as hours(lead)",
                {"station": STATION, "variable": variable, "t0": T0},
            )
        publish(con, folder / "data" / "published.duckdb")
    (folder / "daycast.toml").write_text('data = "data"\n')
    program = folder / "daycast"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m daycast "$@"\n')
    program.chmod(0o755)
    return folder


def run(folder: Path, shell: list[str], command: str, **environment: str) -> str:
    foreign = ("DAYCAST_", "PREFECT_", "_ARGCOMPLETE")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(
        [*shell, "-c", command],
        cwd=folder,
        env={**clean, "COLUMNS": "80", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_the_example_of_the_summary_shows_the_next_hours_of_its_station_on_one_screen(folder):
    shown = run(folder, ["sh"], example_query(STATION, VARIABLES, "./daycast sql")).splitlines()
    assert shown[0].split() == ["valid_at", "air_temperature_c", "wind_speed_m_s", "precipitation_mm"]
    assert [line.split()[:2] for line in shown[1:25]] == [
        f"{T0 + lead * timedelta(hours=1):%Y-%m-%d %H:%M}".split() for lead in range(1, 25)
    ]
    assert shown[1].split()[2:] == ["0.1"] * 3  # 1/7
    assert shown[25:] == ["", "24 rows, times in UTC"]


def test_whoever_reads_a_table_may_stop_early(folder):
    assert run(folder, ["sh"], "./daycast sql --format csv 'select * from range(200000)' | head -n 1") == "range\n"


@pytest.mark.parametrize(
    "command",
    [
        "./daycast sql --format csv -f asked.sql",
        "./daycast sql --format csv - < asked.sql",
        "cat asked.sql | ./daycast sql --format csv",
        "./daycast sql --format csv --file - < asked.sql",
        './daycast sql --format csv "$(cat asked.sql)"',
    ],
)
def test_statements_come_from_an_argument_a_file_or_standard_input(folder, command):
    (folder / "asked.sql").write_text(
        "-- Grüße\nselect 'é' as x;\nselect [1, 2] as y, timestamptz '2026-02-01 12:00:00+00' as z;\n"
    )
    assert run(folder, ["sh"], command) == 'x\né\n\ny,z\n"[1, 2]",2026-02-01T12:00:00+00:00\n'
    lines = run(folder, ["sh"], command.replace("csv", "json")).splitlines()
    assert [json.loads(line) for line in lines] == [[{"x": "é"}], [{"y": [1, 2], "z": "2026-02-01T12:00:00+00:00"}]]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("./daycast sql 'select 1' -f asked.sql", "takes either QUERY or --file, not both"),
        ("./daycast sql -f missing.sql", "missing.sql cannot be read: No such file or directory"),
        ("./daycast sql -f .", ". cannot be read: Is a directory"),
        (
            "printf '\\344' > latin.sql; ./daycast sql -f latin.sql",
            "latin.sql is not text in UTF-8 (byte 0): save it as UTF-8",
        ),
        ("./daycast sql < /dev/null", "the query failed: it is empty; `show tables` lists the tables"),
    ],
)
def test_statements_that_cannot_be_had_are_an_error_of_one_line(folder, command, says):
    assert run(folder, ["sh"], f"({command}) 2>&1; true").strip().endswith(says)


BASH = """
eval "$(./daycast --print-completion bash)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
_python_argcomplete ./daycast
printf '%s\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { : }  # what zsh does with completions, of which none is loaded here
_describe() { print -l -- ${(P)2%%:*} }
eval "$(./daycast --print-completion zsh)"
autoload -Uz is-at-least
words=(./daycast) BUFFER=$1 CURSOR=${#1}
_python_argcomplete
"""
FISH = """
./daycast --print-completion fish | source
complete --do-complete $argv[1] | string replace --regex '\t.*' ''
"""
SHELLS = [["bash", BASH], ["zsh", ZSH], ["fish", FISH]]


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        pytest.param(
            shell, script, marks=pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")
        )
        for shell, script in SHELLS
    ],
    ids=[shell for shell, _ in SHELLS],
)
@pytest.mark.parametrize(
    ("line", "expected"),
    [("./daycast re", {"retrain", "report"}), ("./daycast retrain --cell ", {"gru", "lstm", "rnn", "auto"})],
)
def test_a_shell_completes_commands_and_choices(folder, shell, script, line, expected):
    wrapper = folder / f"complete.{shell}"
    wrapper.write_text(script)
    offered = run(folder, [shell], f"{shell} ./complete.{shell} '{line}'")
    assert {one.strip() for one in offered.splitlines() if one.strip()} == expected
