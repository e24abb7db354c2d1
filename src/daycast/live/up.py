"""Keep a Prefect server, its two workers and the deployments running, as one process."""

import json
import logging
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from daycast.errors import ConfigError
from daycast.live.server import RefusedError, call, post_unless_there
from daycast.live.service import Service, start_guarded
from daycast.live.state import holding, write_state
from daycast.live.trigger import trigger
from daycast.settings import Settings

POOLS = ("cpu", "gpu")
USUAL_PORT = 4200
_PATIENCE_S = 120
_LOOK_EVERY_S = 0.5
_log = logging.getLogger("daycast")


class _Ended(Exception):  # noqa: N818 - no error
    """SIGTERM or SIGINT came."""


def up(settings: Settings, config: Path | None, root: Path, port: int | None) -> None:
    """Start everything, restart what dies, and stop everything on SIGINT or SIGTERM.

    `root` is the folder with flows/ and infra/. Raises ConfigError where the server or the deployments do not come up, or a
    supervisor with the same data folder runs.
    """
    if not (root / "infra" / "prefect.yaml").is_file():
        raise ConfigError(f"{root} has no infra/prefect.yaml: `daycast up` needs the clone it was installed from")
    home = settings.data / "prefect"
    with holding(home) as state, ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
        try:
            port = port or _free_port()
            url = f"http://127.0.0.1:{port}/api"
            environment = _environment(settings, config, home, url)
            write_state(state, url)

            def keep(name: str, *arguments: str) -> Service:
                service = Service(name, [sys.executable, "-m", "prefect", *arguments], environment, root, home)
                stack.callback(service.stop)
                return service

            server = keep("server", "server", "start", "--host", "127.0.0.1", "--port", str(port))
            _wait(server, url)
            _create(url, root)
            _crash_abandoned(url)
            services = [server] + [keep(f"worker-{pool}", "worker", "start", "--pool", pool) for pool in POOLS]
            _deploy(environment, root, home)
            if not settings.warehouse.exists():
                trigger(url, "pipeline", [], dry_run=False)
            _log.info("up: %s; `daycast down` or Ctrl-C stops it; logs in %s", url.removesuffix("/api"), home)
            while True:
                for service in services:
                    if service.revive():
                        _log.warning("%s had ended and was started again: see %s", service.name, service.log)
                time.sleep(_LOOK_EVERY_S)
        except _Ended:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            _log.info("stopping")
    _log.info("down")


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


def _free_port() -> int:
    """Prefect's usual port, or any."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(free.getsockname()[1])
    raise ConfigError("no port is free on 127.0.0.1: name one with --port")


def _environment(settings: Settings, config: Path | None, home: Path, url: str) -> dict[str, str]:
    ours = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # by which runs that lost their process are known
        "DAYCAST_DATA": str(settings.data),
    }
    return {**os.environ, **ours} | ({"DAYCAST_CONFIG": str(config)} if config else {})


def _wait(server: Service, url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and server.process is not None and server.process.poll() is None:
        try:
            call(url, "/health")
        except (ConfigError, RefusedError):
            time.sleep(0.1)
        else:
            return
    raise ConfigError(f"the Prefect server did not start: see {server.log}")


def _create(url: str, root: Path) -> None:
    """Create pools, the one writer's slot and automations, unless they are there."""
    for pool in POOLS:
        post_unless_there(url, "/work_pools/", {"name": pool, "type": "process"})
    call(url, "/concurrency_limits/", {"tag": "warehouse", "concurrency_limit": 1})
    there = {automation["name"] for automation in call(url, "/automations/filter", {})}
    for automation in json.loads((root / "infra" / "automations.json").read_text(encoding="utf-8")):
        if automation["name"] not in there:
            call(url, "/automations/", automation)


def _crash_abandoned(url: str) -> None:
    """Runs that seem to run while no worker does were killed with their machine: say so, which frees what they hold."""
    active = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
    crashed = {"type": "CRASHED", "name": "Crashed", "message": "What ran it was killed."}
    for run in call(url, "/flow_runs/filter", active):
        call(url, f"/flow_runs/{run['id']}/set_state", {"state": crashed})


def _deploy(environment: dict[str, str], root: Path, home: Path) -> None:
    log = home / "deploy.log"
    command = ["--no-prompt", "deploy", "--all", "--prefect-file", "infra/prefect.yaml"]
    process = start_guarded([sys.executable, "-m", "prefect", *command], environment, log, root)
    try:
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status:
        raise ConfigError(f"the flows could not be deployed: see {log}")
