"""Ctrl-C and SIGTERM end a command whatever it is doing, in one line, with what was stored kept."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daycast.variables import BUILT_IN
from daycast.warehouse.warehouse import Warehouse
from integration.chain.conftest import CHAIN, UNTIL
from integration.chain.tables import copy_of
from integration.test_slow_source import DAYS, NOW, START, weather
from integration.test_warehouse_lock import held_by_another_process
from unit.sources.http_server import Answer, Request, serve

pytestmark = pytest.mark.slow
PATIENCE_S = 90.0  # on a busy machine; without the signal each of these would go on for longer, or for ever
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
SAID = "daycast: interrupted; what was committed stays, and the same command continues from there"
SLOW = f"""
[[sources]]
kind = "open_meteo"
name = "grid"
url = "URL/v1/archive"
stations = [{{ id = "zurich", latitude = 47.37, longitude = 8.55 }}]
columns = {{ air_temperature_c = "temperature_2m" }}
start = {START.date()}
reporting_delay = "1h"
piece_days = {DAYS}
http = {{ timeout = "1h", requests_per_second = 1000 }}
"""


class Command:
    """A command that is at work; what it says on stderr goes to a file."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self._said = folder / "stderr.txt"
        with self._said.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "daycast", *arguments],
                cwd=folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def said(self) -> str:
        return self._said.read_text()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10 * PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def ends_by(self, number: int) -> None:
        """Send the signal: the command ends, with the status that a shell gives it, and one line."""
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE_S) == 128 + number, self.said()
        assert self.said().splitlines()[-1] == SAID
        assert "Traceback" not in self.said()


@pytest.fixture
def start(environment) -> Iterator[Callable[..., Command]]:
    commands = []

    def begin(folder: Path, *arguments: str) -> Command:
        commands.append(Command(folder, environment, *arguments))
        return commands[-1]

    yield begin
    for command in commands:
        command.process.kill()
        command.process.wait()


def rows(folder: Path, table: str) -> int:
    with Warehouse(folder / "data" / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as con:
        return con.execute(f"select count(*) from {table}").fetchall()[0][0]


@SIGNALS
def test_while_a_source_drips(start, tmp_path, number):
    def drip_the_rest(request: Request) -> Answer:
        late = request.query["start_date"] >= "2026-02-11"
        return Answer(body=b" " * 10**6, drip_s=0.5) if late else weather(request)

    with serve(drip_the_rest) as server:
        (tmp_path / "daycast.toml").write_text(SLOW.replace("URL", server.url))
        command = start(tmp_path, "ingest", "--until", NOW.isoformat())
        command.wait_until(lambda: any(one.query["start_date"] >= "2026-02-11" for one in server.requests))
        command.wait_until(lambda: rows(tmp_path, "readings") > 0)  # others are let in meanwhile
        stored = rows(tmp_path, "readings")
        command.ends_by(number)
    assert rows(tmp_path, "readings") == stored
    assert rows(tmp_path, "runs") == 1


@SIGNALS
def test_while_networks_are_trained(start, chain, tmp_path, number):
    folder = copy_of(chain, tmp_path)
    longer = CHAIN.replace("epochs = 1\n", "epochs = 1000\n").replace("steps_per_epoch = 5", "steps_per_epoch = 1000")
    (folder / "daycast.toml").write_text(longer)
    command = start(folder, "retrain", "--until", UNTIL, "--minutes", "600")
    command.wait_until(lambda: any((folder / "data" / "checkpoints").glob("*/*")) or "goes on" in command.said())
    command.ends_by(number)


@SIGNALS
def test_while_the_warehouse_is_waited_for(start, chain, tmp_path, number):
    folder = copy_of(chain, tmp_path)
    with held_by_another_process(folder / "data" / "warehouse.duckdb"):
        command = start(folder, "publish")
        time.sleep(8)  # it has begun to wait; where the machine is slow the signal comes earlier, which holds as well
        command.ends_by(number)


STUCK = """
import sys, threading, time, numpy as np
from daycast.cli import first_steps
from daycast.__main__ import main

def stuck(args):
    threading.Thread(target=time.sleep, args=[3600]).start()  # which Python waits for at its end
    print("begun", flush=True)
    a = np.random.default_rng(1).standard_normal((3000, 3000))
    while True:
        np.linalg.svd(a)  # many seconds in which no line of Python runs

first_steps._doctor = stuck
sys.exit(main(["doctor"]))
"""


@SIGNALS
def test_while_a_library_does_not_come_back(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert said.splitlines() == [SAID]
