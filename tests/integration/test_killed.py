"""Killed with SIGKILL while it writes: whatever it was, all is well again without a hand, and soon.

`pytest -m soak -s tests/integration/test_killed.py` kills everything in turn and prints how long each took.
"""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from daycast.service.supervisor import read_state
from daycast.steps.ingest import ingest_source
from daycast.steps.publish import publish_tables
from daycast.variables import BUILT_IN
from daycast.warehouse.warehouse import Warehouse
from integration.conftest import TRAINED_AT, Trained, small_settings
from integration.place import Place

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="this machine does not show its processes in /proc"),
]
VICTIMS = ["flow", "worker", "worker and flow", "both workers", "server", "supervisor"]
TABLES = {  # with their keys, and what each ingest has the same
    "readings": ("station_id, observed_at, received_at", "* exclude (batch_id, row_number)"),
    "observation_versions": ("station_id, observed_at, known_from", "*"),
}


@pytest.fixture(scope="module")
def place(trained_once, tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    subprocess.run(["cp", "-r", trained_once.settings.data, folder / "data"], check=True)
    publish_tables(small_settings(folder), TRAINED_AT)  # else `daycast up` begins with a pipeline
    place = Place(folder)
    try:
        place.up()
        for deployment in place.server.call("/deployments/filter", {}):  # nothing but what the test starts
            place.server.call(f"/deployments/{deployment['id']}/pause_deployment", {})
        yield place
    finally:
        place.end()


def undisturbed(trained: Trained, since: datetime, folder: Path) -> dict[str, list]:
    """What there is when everything since then is taken in and nothing is killed."""
    settings = small_settings(folder)
    shutil.copytree(trained.settings.data, settings.data)
    ingest_source(settings, settings.sources[0], trained.at, since)
    return contents(settings.warehouse.where)


def contents(warehouse: Path) -> dict[str, list]:
    """How many rows each table has, how many keys, and what all of it comes to."""
    with Warehouse(warehouse, BUILT_IN.values()).write(TRAINED_AT) as con:
        return {
            table: con.execute(
                f"""
                select count(*), count(distinct ({keys})), bit_xor(hash(kept))
                from (select {rows} from {table}) as kept
                """
            ).fetchall()
            for table, (keys, rows) in TABLES.items()
        }


def is_in_mid_write(place: Place, run: str) -> bool:
    """Whether a process of the run has the log of the warehouse open, which is there while a transaction is, within its slot."""

    def files(pid: int) -> set[str]:
        with suppress(OSError):
            return {fd.readlink().name for fd in Path(f"/proc/{pid}/fd").iterdir()}
        return set()

    processes = place.processes(f"PREFECT__FLOW_RUN_ID={run}")
    return any("warehouse.duckdb.wal" in files(pid) for pid in processes) and place.slots_held() == 1


def find_victims(place: Place) -> dict[str, list[int]]:
    """The processes to kill, beside that of the flow."""
    server, cpu, gpu = (place.service(name) for name in ("server", "worker-cpu", "worker-gpu"))
    return {
        "flow": [],
        "worker": [cpu],
        "worker and flow": [cpu],
        "both workers": [cpu, gpu],
        "server": [server],
        "supervisor": [place.supervisor],
    }


@pytest.mark.parametrize("victim", VICTIMS)
def test_all_is_well_again_without_a_hand(place, trained_once, tmp_path, victim):
    since = TRAINED_AT - timedelta(days=400 + 200 * VICTIMS.index(victim))  # something new to write each time
    parameters = [f"since={since.isoformat()}", f"until={TRAINED_AT.isoformat()}"]
    pids = find_victims(place)[victim]
    run = place.trigger("ingest", *parameters)
    place.wait_until(lambda: is_in_mid_write(place, run), every_s=0.1)
    for pid in pids + place.processes(f"PREFECT__FLOW_RUN_ID={run}") * ("flow" in victim):
        os.kill(pid, signal.SIGKILL)
    started = time.monotonic()
    if victim == "supervisor":
        place.wait_until(lambda: read_state(place.home) is None)
        place.up()
    up = time.monotonic() - started
    ended = up + place.wait_until(lambda: place.state(run) in {"CRASHED", "COMPLETED"})
    how = place.state(run)
    free = ended + place.wait_until(lambda: place.slots_held() == 0)
    print(f"\n{victim}: {how} after {ended:.0f} s, slot free after {free:.0f} s", end="")
    assert how == "CRASHED" or victim == "server"  # which the flow may outlive
    again = place.trigger("ingest", *parameters)
    place.wait_until(lambda: place.state(again) == "COMPLETED")
    print(f", all taken in after {time.monotonic() - started:.0f} s")
    assert contents(place.folder / "data" / "warehouse.duckdb") == undisturbed(trained_once, since, tmp_path)
