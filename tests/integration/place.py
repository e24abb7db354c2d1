"""A folder in which daycast is up, and what can be asked of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from daycast.errors import ConfigError
from daycast.live.server import WAREHOUSE_SLOT, call
from daycast.live.state import read_state
from integration.conftest import MODEL


class Place:
    """A folder in which daycast is up."""

    def __init__(self, folder: Path) -> None:
        foreign = ("DAYCAST_", "PREFECT_", "PANDERA_")
        self.folder, self.home = folder, folder / "data" / "prefect"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment = clean | {"OMP_NUM_THREADS": "1"}
        self.command = [sys.executable, "-m", "daycast"]
        model = "\n".join(f"{name} = {json.dumps(value)}" for name, value in MODEL.items())
        source = '[[sources]]\nkind = "simulated"\nstations = 4\nhistory = "120d"\n'
        (folder / "daycast.toml").write_text(f'{source}[model]\n{model}\n[retrain]\nfit_on = "gpu"\n')

    def up(self) -> None:
        """Start the supervisor in the background, and return once all is up."""
        done = self.run("up", "--detach")
        assert done.returncode == 0, done.stderr
        state = read_state(self.home)
        self.url, self.supervisor = state["url"], state["pid"]

    def end(self) -> None:
        """Stop the supervisor, and all it started."""
        self.run("down")

    def after(self, seconds: float, condition: Callable[[], bool]) -> float:
        """How many seconds it takes until the condition is met."""
        started = time.monotonic()
        while not condition():
            assert time.monotonic() - started < seconds, f"not within {seconds} s"
            time.sleep(0.1)
        return time.monotonic() - started

    def trigger(self, *arguments: str) -> str:
        """Have a flow run; returns the run's id."""
        started = self.run("trigger", *arguments)
        assert started.returncode == 0, started.stderr
        return started.stdout.strip().rpartition("/")[2]

    def slots_held(self) -> int:
        """How many tasks hold the slot of the warehouse."""
        return call(self.url, f"/v2/concurrency_limits/{WAREHOUSE_SLOT}")["active_slots"]

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def processes(self, *variables: str) -> list[int]:
        """Everything that was started with this folder's Prefect home, and with these variables."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environ = (process / "environ").read_bytes()
            except OSError:
                continue
            if all(f"{each}\0".encode() in environ for each in (f"PREFECT_HOME={self.home}", *variables)):
                found.append(int(process.name))
        return found

    def service(self, name: str) -> int:
        """The process of `server`, `worker-cpu` or `worker-gpu`, below its guard."""
        words = {"server": b"server\0start", "worker-cpu": b"--pool\0cpu", "worker-gpu": b"--pool\0gpu"}[name]
        for pid in self.processes():
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if words in command and b"daycast.live.guard" not in command:
                return pid
        raise AssertionError(f"{name} does not run")

    def state(self, run: str) -> str:
        """The type of a run's state; empty while no server answers."""
        try:
            return call(self.url, f"/flow_runs/{run}")["state_type"]
        except ConfigError:
            return ""

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

    def artifacts(self, run: dict) -> dict[str, dict]:
        """The newest artifact of the run under each key."""
        of_run = {"flow_runs": {"id": {"any_": [run["id"]]}}}
        found = call(self.url, "/artifacts/filter", {**of_run, "sort": "CREATED_DESC"})
        return {one["key"]: one for one in reversed(found) if one["key"]}

    def completed(self, deployment: str, seconds: float = 300, of: Callable[[dict], object] = bool) -> dict:
        """Wait for a run of the deployment, one of those, to complete."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = {run["state_type"]: run for run in self.runs(deployment) if of(run)}
            if "COMPLETED" in runs:
                return runs["COMPLETED"]
            assert not {"FAILED", "CRASHED"} & set(runs), (deployment, [run["state"] for run in runs.values()])
            time.sleep(0.5)
        raise AssertionError(
            f"no run of {deployment} completed: {[run['state_name'] for run in self.runs(deployment)]}"
        )
