"""`daycast up` on a small network that has a champion: schedules, both workers, what follows what, and a clean end."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from daycast.live.server import RefusedError, call
from daycast.live.state import read_state
from integration.conftest import MODEL

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())["deployments"]
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="this machine does not show its processes in /proc")


class Place:
    """A folder in which daycast is up."""

    def __init__(self, folder: Path) -> None:
        foreign = ("DAYCAST_", "PREFECT_", "PANDERA_")
        self.folder, self.home = folder, folder / "data" / "prefect"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment = clean | {"OMP_NUM_THREADS": "1"}
        self.command = [sys.executable, "-m", "daycast"]

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def processes(self) -> list[int]:
        """Everything that was started with this folder's Prefect home."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environ = (process / "environ").read_bytes()
            except OSError:
                continue
            if f"PREFECT_HOME={self.home}\0".encode() in environ:
                found.append(int(process.name))
        return found

    def runs(self, deployment: str) -> list[dict]:
        flow, name = deployment.split("/")
        which = {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [name]}}}
        return call(self.url, "/flow_runs/filter", {**which, "sort": "EXPECTED_START_TIME_ASC"})

    def is_scheduled(self, deployment: str, seconds: float = 60) -> bool:
        """Wait for the server, which looks at schedules every few seconds, to have runs of the deployment to come."""
        deadline = time.monotonic() + seconds
        while (
            not (there := any(run["auto_scheduled"] for run in self.runs(deployment))) and time.monotonic() < deadline
        ):
            time.sleep(0.5)
        return there

    def completed(self, deployment: str, seconds: float = 120) -> dict:
        """Wait for a run of the deployment to complete."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = {run["state_type"]: run for run in self.runs(deployment)}
            if "COMPLETED" in runs:
                return runs["COMPLETED"]
            assert not {"FAILED", "CRASHED"} & set(runs), (deployment, [run["state"] for run in runs.values()])
            time.sleep(0.5)
        pytest.fail(f"no run of {deployment} completed: {[run['state_name'] for run in self.runs(deployment)]}")


@pytest.fixture(scope="module")
def place(trained_once, tmp_path_factory):
    folder = tmp_path_factory.mktemp("by_itself")
    subprocess.run(["cp", "-r", trained_once.settings.data, folder / "data"], check=True)
    model = "\n".join(f"{name} = {json.dumps(value)}" for name, value in MODEL.items())
    source = '[[sources]]\nkind = "simulated"\nstations = 4\nhistory = "120d"\n'
    (folder / "daycast.toml").write_text(f'{source}[model]\n{model}\n[retrain]\nfit_on = "gpu"\n')
    place = Place(folder)
    log = (folder / "up.log").open("w+")
    process = subprocess.Popen([*place.command, "up"], cwd=folder, env=place.environment, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while " up: " not in (folder / "up.log").read_text():
            assert time.monotonic() < deadline, "it did not come up"
            assert process.poll() is None, (folder / "up.log").read_text()
            time.sleep(0.2)
        place.url, place.supervisor = read_state(place.home)["url"], process
        yield place
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        log.close()


def test_every_cron_has_scheduled_runs_and_every_deployment_its_pool(place):
    there = {(d["entrypoint"], d["name"]): d for d in call(place.url, "/deployments/filter", {})}
    for wanted in DEPLOYMENTS:
        deployment = there.pop((wanted["entrypoint"], wanted["name"]))
        assert deployment["work_pool_name"] == wanted["work_pool"]["name"]
        crons = [each["schedule"]["cron"] for each in deployment["schedules"]]
        assert crons == [each["cron"] for each in wanted.get("schedules", [])]
        flow = wanted["entrypoint"].split(":")[1]
        if crons:
            assert place.is_scheduled(f"{flow}/{wanted['name']}"), wanted["name"]
    assert not there


def test_a_second_supervisor_is_refused(place):
    again = place.run("up")
    assert again.returncode == 1
    assert f"up already (process {place.supervisor.pid}" in again.stderr


def test_a_dry_run_starts_nothing(place):
    done = place.run("trigger", "backfill", "since=2026-02-01", "--dry-run")
    assert done.stdout == 'would run backfill in pool cpu with since="2026-02-01"\n'
    assert not place.runs("backfill/backfill")


@pytest.mark.parametrize("text", ["yesterday", "2026-02-01'; drop table forecasts; --", "../../2026-02-01"])
def test_what_is_no_time_is_refused_before_a_run_exists_by_the_command_and_by_the_server(place, text):
    refused = place.run("trigger", "backfill", f"since={text}", "--dry-run")
    assert refused.returncode == 1
    assert "ISO 8601" in refused.stderr
    deployment = call(place.url, "/deployments/name/backfill/backfill")["id"]
    with pytest.raises(RefusedError, match="does not match"):  # of whoever comes past the command
        call(place.url, f"/deployments/{deployment}/create_flow_run", {"parameters": {"since": text}})
    assert not place.runs("backfill/backfill")


def test_what_is_triggered_by_hand_and_by_schedule_runs_and_draws_the_rest_after_it(place):
    before = len(list((place.folder / "data" / "checkpoints").glob("*.safetensors")))
    soon = {"interval": 30, "anchor_date": datetime.now(UTC).isoformat()}
    verify = call(place.url, "/deployments/name/verify/verify")
    call(place.url, f"/deployments/{verify['id']}/schedules", [{"active": True, "schedule": soon}])
    ingest = place.run("trigger", "ingest")
    assert ingest.returncode == 0, ingest.stderr
    retrain = place.run("trigger", "retrain", "cell=lstm")
    assert retrain.returncode == 0, retrain.stderr
    for each in ("ingest", "forecast", "publish"):  # the latter two by events
        place.completed(f"{each}/{each}")
    assert place.completed("verify/verify")["auto_scheduled"]
    rows = place.run("sql", "select count(*) as n from latest_forecasts", "--format", "csv")
    assert rows.stdout == f"n\n{4 * 2 * 24}\n"  # stations, targets, leads
    assert place.completed("retrain/retrain")["parameters"] == {"cell": "lstm"}
    assert place.completed("fit/gpu")["work_pool_name"] == "gpu"
    assert len(list((place.folder / "data" / "checkpoints").glob("*.safetensors"))) == before + 1
    assert '"lstm-' in place.run("models", "list", "--format", "json").stdout


def test_down_leaves_no_process(place):
    assert len(place.processes()) >= 3
    assert place.run("down").stdout == "down\n"
    assert place.supervisor.wait(10) == 0
    assert place.processes() == []
    assert place.run("down").stdout == "daycast was not up\n"
