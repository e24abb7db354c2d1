"""Two writers, a reader and a writer that is killed again and again: nobody sees an error, no row is lost or doubled.

LAKE_STORM_S is how many seconds it lasts.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from daycast.variables import BUILT_IN
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.lake import Lake

SECONDS = float(os.environ.get("LAKE_STORM_S", "8"))
WORKER = Path(__file__).with_name("storm_worker.py")
PATIENCE_S = 60.0  # for a process to get to its first line on a busy machine


def start(role: str, lake: Lake, name: str, folder: Path) -> subprocess.Popen:
    command = [sys.executable, str(WORKER), role, lake.catalogue, lake.data, name, str(folder / name)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def lines(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def wait_for_a_line(process: subprocess.Popen, folder: Path, name: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not lines(folder, name):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"{name} did nothing"
        time.sleep(0.02)


def test_no_error_reaches_anybody_and_no_row_is_lost_or_doubled(new_lake: Callable[[], Lake], tmp_path: Path) -> None:
    lake, chance, killed = new_lake(), random.Random(5), 0
    with open_warehouse(lake, BUILT_IN.values(), datetime(2026, 2, 1, tzinfo=UTC)):
        pass
    with ExitStack() as stack:
        steady = {
            name: start(role, lake, name, tmp_path)
            for name, role in (("one", "writer"), ("two", "writer"), ("reader", "reader"))
        }
        for process in steady.values():
            stack.callback(process.wait)
            stack.callback(process.kill)
        for name, process in steady.items():
            wait_for_a_line(process, tmp_path, name)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until or not killed:
            victim = start("writer", lake, f"victim{killed}", tmp_path)
            stack.callback(victim.wait)
            stack.callback(victim.kill)
            if chance.random() < 0.7:  # else it may die before it has begun
                wait_for_a_line(victim, tmp_path, f"victim{killed}")
            time.sleep(chance.random())
            assert victim.poll() is None, victim.stderr.read()
            victim.send_signal(signal.SIGKILL)
            killed += 1
        read_before_the_end = len(lines(tmp_path, "reader"))
        for name, process in steady.items():
            assert process.poll() is None, f"{name}: {process.stderr.read()}"
    noted = [
        line
        for path in tmp_path.iterdir()
        if path.is_file() and path.name != "reader"
        for line in lines(tmp_path, path.name)
    ]
    with open_warehouse(lake, BUILT_IN.values(), datetime(2026, 2, 1, tzinfo=UTC)) as con:
        held = [name for (name,) in con.execute("select batch_id from batches").fetchall()]
        forecasts = con.execute("select count(*), count(distinct value) from forecasts").fetchall()
        folded = con.execute("select count(*) from (select distinct station_id, lead_hours from forecasts)").fetchall()
    assert len(held) == len(set(held))
    assert set(noted) <= set(held)
    assert len(set(held) - set(noted)) <= killed + 2  # what was committed by one who died before saying so
    assert (forecasts, folded) == ([(48, 1)], [(48,)])
    assert {name.split("-")[0] for name in held} >= {"one", "two", "victim0"} - ({"victim0"} if killed == 1 else set())
    assert read_before_the_end > 0
    print(f"{len(held)} batches, {killed} killed, {read_before_the_end} reads")
