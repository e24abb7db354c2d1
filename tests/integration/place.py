"""A folder in which daycast is up, and what can be asked of it."""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

from daycast.errors import ConfigError
from daycast.service.access import read_auth
from daycast.service.server import WAREHOUSE_SLOT, RefusedError, Server
from daycast.service.supervisor import read_state
from integration.conftest import MODEL
from integration.listener import Listener

PATIENCE_S = 600.0  # for whatever is bound to happen, on a busy machine
SEND_AGAIN_S = 30.0  # an event that nobody heard


class Place:
    """A folder in which daycast is up."""

    def __init__(self, folder: Path, history: str = "120d") -> None:
        # without bytecode a dozen processes would compile everything anew
        foreign = ("DAYCAST_", "PREFECT_", "PANDERA_", "PYTHONDONTWRITEBYTECODE")
        self.folder, self.home = folder, folder / "data" / "prefect"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment = clean | {"OMP_NUM_THREADS": "1"}
        self.listener: Listener | None = None  # where daycast's environment says that somebody listens
        self.command = [sys.executable, "-m", "daycast"]
        model = "\n".join(f"{name} = {json.dumps(value)}" for name, value in MODEL.items())
        source = f'[[sources]]\nkind = "simulated"\nstations = 4\nhistory = "{history}"\n'
        (folder / "daycast.toml").write_text(f'{source}[model]\n{model}\n[retrain]\nfit_on = "gpu"\n')

    def up(self) -> None:
        """Start the supervisor in the background, and return once all is up."""
        done = self.run("up", "--detach")
        assert done.returncode == 0, done.stderr
        state = read_state(self.home)
        self.url, self.supervisor = state["url"], state["pid"]
        self.server = Server(self.url, read_auth(self.home))

    def end(self) -> None:
        """Stop the supervisor, and all it started."""
        self.run("down")

    def wait_until(self, condition: Callable[[], bool], every_s: float = 1.0) -> float:
        """How many seconds it takes until the condition is met; a server too busy to answer is asked again.

        every_s: between two questions. Each takes the server some hundredths of a second; ask more often for what soon passes.
        """
        started = time.monotonic()
        while True:
            try:
                if condition():
                    return time.monotonic() - started
            except RefusedError as error:
                if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
            assert time.monotonic() - started < PATIENCE_S, f"not within {PATIENCE_S:.0f} s"
            time.sleep(every_s)

    def trigger(self, *arguments: str) -> str:
        """Have a flow run; returns the run's id."""
        started = self.run("trigger", *arguments)
        assert started.returncode == 0, started.stderr
        return started.stdout.strip().rpartition("/")[2]

    def slots_held(self) -> int:
        """How many tasks hold the slot of the warehouse."""
        return self.server.call(f"/v2/concurrency_limits/{WAREHOUSE_SLOT}")["active_slots"]

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
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
        """The process of `server`, `worker-cpu` or `worker-gpu`, below its reaper."""
        words = {
            "server": b"daycast.service.prefect_server",
            "worker-cpu": b"--pool\0cpu",
            "worker-gpu": b"--pool\0gpu",
        }[name]
        for pid in self.processes():
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if words in command and b"daycast.service.reaper" not in command:
                return pid
        raise AssertionError(f"{name} does not run")

    def state(self, run: str) -> str:
        """The type of a run's state; empty while no server answers."""
        try:
            return self.server.call(f"/flow_runs/{run}")["state_type"]
        except ConfigError:
            return ""

    def runs(self, deployment: str) -> list[dict]:
        flow, name = deployment.split("/")
        which = {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [name]}}}
        return self.server.call("/flow_runs/filter", {**which, "sort": "EXPECTED_START_TIME_ASC"})

    def is_scheduled(self, deployment: str) -> bool:
        """Whether runs of the deployment are to come; the server looks at schedules every few seconds."""
        return any(run["auto_scheduled"] for run in self.runs(deployment))

    def artifacts(self, run: dict) -> dict[str, dict]:
        """The newest artifact of the run under each key."""
        of_run = {"flow_runs": {"id": {"any_": [run["id"]]}}}
        found = self.server.call("/artifacts/filter", {**of_run, "sort": "CREATED_DESC"})
        return {one["key"]: one for one in reversed(found) if one["key"]}

    def log(self, run: dict) -> list[dict]:
        """What the page of the run shows as its log, oldest first."""
        of_run = {"logs": {"flow_run_id": {"any_": [run["id"]]}}}
        return self.server.call("/logs/filter", {**of_run, "sort": "TIMESTAMP_ASC"})

    def ends(self, run: dict) -> list[dict]:
        """The events that say that the run has ended, in the form in which they can be sent again."""
        which = {"resource": {"id": [f"prefect.flow-run.{run['id']}"]}, "event": {"prefix": ["prefect.flow-run."]}}
        final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        found: list[dict] = []

        def is_told() -> bool:
            events = self.server.call("/events/filter", {"filter": which})["events"]
            found[:] = [event for event in events if event["resource"].get("prefect.state-type") in final]
            return bool(found)

        self.wait_until(is_told)
        return [{key: value for key, value in event.items() if key != "received"} for event in found]

    def hears_what_was_sent(self) -> None:
        """Return once the server has dealt with all events sent so far: automations hear them in order.

        The event that tells is sent again from time to time, for a busy server may not have known its automation yet.
        """
        name = f"a test listens {uuid4()}"
        sent_at = [-math.inf]
        trigger = {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": name},
            "expect": ["test.heard"],
        }
        trigger |= {"match_related": {}, "threshold": 1, "within": 0}
        actions = [{"type": "pause-work-queue", "source": "selected", "work_queue_id": self._idle_queue()}]
        made = self.server.call(
            "/automations/", {"name": name, "enabled": True, "trigger": trigger, "actions": actions}
        )

        def is_heard() -> bool:
            if time.monotonic() - sent_at[0] > SEND_AGAIN_S:
                sent_at[0] = time.monotonic()
                event = {"event": "test.heard", "occurred": datetime.now(UTC).isoformat(), "id": str(uuid4())}
                self.server.call("/events", [event | {"resource": {"prefect.resource.id": name}}])
            return self.server.call(f"/work_queues/{self._idle_queue()}")["is_paused"]

        self.wait_until(is_heard)
        self.server.call(f"/automations/{made['id']}", method="DELETE")
        self.server.call(f"/work_queues/{self._idle_queue()}", {"is_paused": False}, "PATCH")

    def _idle_queue(self) -> str:
        """A work queue that nobody uses, so that its pausing shows that an automation was heard."""
        with suppress(RefusedError):
            self.server.call("/work_queues/", {"name": "idle"})
        return self.server.call("/work_queues/name/idle")["id"]

    def completed(self, deployment: str, of: Callable[[dict], object] = bool) -> dict:
        """Wait for a run of the deployment, one of those, to complete."""
        found: dict[str, dict] = {}

        def one_has() -> bool:
            found.update({run["state_type"]: run for run in self.runs(deployment) if of(run)})
            assert not {"FAILED", "CRASHED"} & set(found), (deployment, [run["state"] for run in found.values()])
            return "COMPLETED" in found

        self.wait_until(one_has)
        return found["COMPLETED"]
