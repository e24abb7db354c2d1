"""Two writers, readers and a writer that is killed again and again: nobody sees an error, no row is lost or doubled.

STORM_S is how many seconds it lasts.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daycast.variables import BUILT_IN
from daycast.warehouse.lake import Lake
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.warehouse import Warehouse

pytestmark = pytest.mark.slow
SECONDS = float(os.environ.get("STORM_S", "4"))
WORKER = Path(__file__).with_name("storm_worker.py")
PATIENCE_S = 300.0  # for a process to get to its first line on a busy machine
T0 = datetime(2026, 2, 1, tzinfo=UTC)
READERS = {"file": ["reader of what is published"], "lake": ["reader of what is published", "reader of the lake"]}


def start(role: str, warehouse: Path | Lake, name: str, folder: Path) -> subprocess.Popen:
    where = [warehouse.catalogue, warehouse.data] if isinstance(warehouse, Lake) else [str(warehouse)]
    command = [sys.executable, str(WORKER), role, str(folder / "published.duckdb"), str(folder / "notes" / name), name]
    return subprocess.Popen([*command, *where], stderr=subprocess.PIPE, text=True)


def lines(folder: Path, name: str) -> list[str]:
    path = folder / "notes" / name
    return path.read_text().splitlines() if path.exists() else []


def wait_for_a_line(process: subprocess.Popen, folder: Path, name: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not lines(folder, name):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"{name} did nothing"
        time.sleep(0.02)


@pytest.mark.parametrize("kind", READERS)
def test_no_error_reaches_anybody_and_no_row_is_lost_or_doubled(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    warehouse = request.getfixturevalue("new_lake")() if kind == "lake" else tmp_path / "warehouse.duckdb"
    chance, killed = random.Random(5), 0
    (tmp_path / "notes").mkdir()
    with Warehouse(warehouse, BUILT_IN.values()).write(T0) as con:
        publish(con, tmp_path / "published.duckdb")
    with ExitStack() as stack:
        steady = {name: start("writer", warehouse, name, tmp_path) for name in ("one", "two")}
        steady |= {role: start(role, warehouse, role, tmp_path) for role in READERS[kind]}
        for process in steady.values():
            stack.callback(process.wait)
            stack.callback(process.kill)
        for name, process in steady.items():
            wait_for_a_line(process, tmp_path, name)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until or not killed:
            victim = start("writer", warehouse, f"victim{killed}", tmp_path)
            stack.callback(victim.wait)
            stack.callback(victim.kill)
            if chance.random() < 0.7:  # else it may die before it has begun
                wait_for_a_line(victim, tmp_path, f"victim{killed}")
            time.sleep(chance.random())
            assert victim.poll() is None, victim.stderr.read()
            victim.send_signal(signal.SIGKILL)
            killed += 1
        reads = {role: len(lines(tmp_path, role)) for role in READERS[kind]}
        for name, process in steady.items():
            assert process.poll() is None, f"{name}: {process.stderr.read()}"
    notes = [path.name for path in (tmp_path / "notes").iterdir() if path.name not in READERS[kind]]
    noted = [line for name in notes for line in lines(tmp_path, name)]
    with Warehouse(warehouse, BUILT_IN.values()).write(T0) as con:
        held = [name for (name,) in con.execute("select batch_id from batches").fetchall()]
        forecasts = con.execute("select count(*), count(distinct value) from forecasts").fetchall()
        folded = con.execute("select count(*) from (select distinct station_id, lead_hours from forecasts)").fetchall()
    assert len(held) == len(set(held))
    assert set(noted) <= set(held)
    assert len(set(held) - set(noted)) <= killed + 2  # what was committed by one who died before saying so
    assert (forecasts, folded) == ([(48, 1)], [(48,)])
    assert {name.split("-")[0] for name in held} >= {"one", "two", "victim0"} - ({"victim0"} if killed == 1 else set())
    assert all(reads.values())
    print(f"{len(held)} batches, {killed} killed, {reads}")
