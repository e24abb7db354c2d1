"""`daycast up`: keep a Prefect server, its two workers and the deployments running, as one process.

`up` does it in the foreground. `up_detached` starts that in the background and returns once everything is up.
"""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from daycast.errors import ConfigError
from daycast.files import full_disk
from daycast.service.access import access_settings, entry_address, keep_auth, make_private
from daycast.service.alerts import Alerts
from daycast.service.deploy import POOLS, create_server_objects, deploy_command
from daycast.service.prefect_server import REPORT, bind
from daycast.service.server import LostSlots, RefusedError, Server, crash_orphaned_runs, free_slots
from daycast.service.supervisor import Service, read_last_state, start_reaped, supervisor_lock, write_state
from daycast.service.trigger import trigger
from daycast.settings import Settings, clock

USUAL_PORT = 4200  # of Prefect
_SERVER_START_S = 120
_WORKER = ("daycast.service.worker", "start", "--pool")
_CHECK_EVERY_S = 0.5
_DETACHED_START_S = 300
_DETACHED_CHECK_EVERY_S = 0.1
_log = logging.getLogger("daycast")


class _Ended(Exception):  # noqa: N818 - no error
    """SIGTERM or SIGINT arrived."""


def up(settings: Settings, config: Path | None, port: int | None, announce: Callable[[str], None]) -> None:
    """Start everything, restart what dies, and stop everything on SIGINT or SIGTERM.

    config: the configuration file of the runs, if there is one. port: the port on 127.0.0.1; None for Prefect's usual one, or
    any other if that is taken. announce: shows a line with the address for the browser, which contains the password.

    Raises ConfigError if the server or the deployments do not come up, or another supervisor uses the same data folder.
    """
    home = settings.data / "prefect"
    with supervisor_lock(home) as state, ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
        try:
            # kept open until the end, so that a restarted server finds its port free
            bound = stack.enter_context(_bind(port))
            url = f"http://127.0.0.1:{bound.getsockname()[1]}/api"
            auth = keep_auth(home)
            environment = _environment(settings, config, home, url) | access_settings(auth)
            write_state(state, url, ready=False)

            def keep(name: str, *arguments: str, sockets: Sequence[socket.socket] = ()) -> Service:
                service = Service(name, [sys.executable, "-m", *arguments], environment, home, sockets)
                stack.callback(service.stop)
                return service

            leases = home / "concurrency_leases"
            shutil.rmtree(leases, ignore_errors=True)  # nothing runs yet
            served = ["--socket", str(bound.fileno()), "--report", str(settings.report)]
            process = keep("server", "daycast.service.prefect_server", *served, sockets=[bound])
            server = Server(url, auth)
            _wait(process, server)
            create_server_objects(server, settings.live)
            alerts = Alerts(server, settings.live.quiet_hours)
            alerts.update(clock())
            crash_orphaned_runs(server)
            free_slots(server)
            workers = {pool: keep(f"worker-{pool}", *_WORKER, pool) for pool in POOLS}
            _deploy(environment, home)
            if not settings.published.exists():
                trigger(server, "pipeline", [], dry_run=False)
            write_state(state, url, ready=True)
            announce(f"up: open {entry_address(url, auth)}")
            _log.info("`daycast down` or Ctrl-C stops it; logs in %s", home)
            _keep_running(server, process, workers, alerts, LostSlots(server, leases))
        except _Ended:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            _log.info("stopping")
    _log.info("down")


def up_detached(arguments: Sequence[str], home: Path) -> str:
    """Run `daycast up` with these arguments in its own session; returns what to print: the server's address and the log file.

    Raises ConfigError with its last line if it ends instead of coming up. An interrupt, or too long a wait, ends it.
    """
    make_private(home)
    log = home / "up.log"
    with log.open("ab") as sink:
        log_start = sink.tell()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [
                sys.executable,
                "-P",
                "-m",
                "daycast",
                "up",
                *arguments,
            ],  # -P: not from a daycast.py in the working folder
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        url = _wait_for_state(process, home)
    except BaseException:
        process.terminate()
        raise
    if url is None:
        output = log.read_bytes()[log_start:].decode(errors="replace").strip().splitlines()
        raise ConfigError((output or [f"it ended: see {log}"])[-1].removeprefix("daycast: "))
    return f"up: open {entry_address(url, keep_auth(home))}\n`daycast down` stops it; its output goes to {log}"


def _wait_for_state(process: subprocess.Popen[bytes], home: Path) -> str | None:
    """The server's address once everything is up; None if the process ended."""
    deadline = time.monotonic() + _DETACHED_START_S
    while time.monotonic() < deadline:
        state = read_last_state(home)  # not read_state, which takes the lock for a moment and could get in the way
        if state.get("pid") == process.pid and state["ready"]:
            return str(state["url"])
        if process.poll() is not None:
            return None
        time.sleep(_DETACHED_CHECK_EVERY_S)
    raise ConfigError(f"daycast is not up after {_DETACHED_START_S} s: see the logs in {home}")


def _keep_running(
    server: Server, process: Service, workers: Mapping[str, Service], alerts: Alerts, slots: LostSlots
) -> NoReturn:
    full = ""
    while True:
        _restart(server, process, workers)
        alerts.update(clock())
        slots.update(time.monotonic())
        full = _tell_of_disk(process.log.parent, full)
        time.sleep(_CHECK_EVERY_S)


def _tell_of_disk(home: Path, told: str) -> str:
    """Say once that the disk is full, because no run and no page says it then, and once that it is not any more.

    told: what the call before returned.
    """
    full = full_disk(home)
    if full and not told:
        _log.warning("%s; until then runs wait or fail", full)
    if told and not full:
        _log.info("there is room again in %s", home)
    return full


def _restart(server: Server, process: Service, workers: Mapping[str, Service]) -> None:
    message = "%s ended and was started again: see %s"
    if process.restart_if_ended():
        _log.warning(message, process.name, process.log)
    for pool, worker in workers.items():
        if worker.restart_if_ended():
            _log.warning(message, worker.name, worker.log)
            try:  # its reaper ended the runs of the old worker
                crash_orphaned_runs(server, pool)
            except (ConfigError, RefusedError):
                _log.warning("its runs will be marked as crashed later, because their heartbeats are missing")


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


def _bind(port: int | None) -> socket.socket:
    """A socket at this port of loopback; without a port at Prefect's usual one, or any other."""
    for choice in (USUAL_PORT, 0) if port is None else (port,):
        with suppress(OSError, OverflowError):
            return bind("127.0.0.1", choice)
    taken = "no port is free on 127.0.0.1" if port is None else f"port {port} of 127.0.0.1 cannot be used"
    raise ConfigError(f"{taken}: name another with --port")


def _environment(settings: Settings, config: Path | None, home: Path, url: str) -> dict[str, str]:
    """The environment of the server, the workers and their runs."""
    own = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # on disk, so that a killed server still knows who holds which slot, and until when
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
        # This Prefect service marks all late runs at once, in transactions that lock each other out of SQLite. When the garbage
        # of these errors is collected, the event loop waits for a connection that waits for the lock, and the server stops
        # answering for a minute.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",  # delete old ones
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * 24 * 3600),
        "DO_NOT_TRACK": "1",
        # how often a worker asks for runs: each hour has two that follow another one. A worker gives up after a dozen failures
        "PREFECT_WORKER_QUERY_SECONDS": "3",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # seconds; a run without heartbeats has lost its process
        "DAYCAST_DATA": str(settings.data),
    }
    if settings.live.report_url is None:
        own["DAYCAST_LIVE__REPORT_URL"] = url.removesuffix("/api") + REPORT
    own |= {"DAYCAST_CONFIG": str(config)} if config else {"DAYCAST_FOLDER": str(Path.cwd())}
    return os.environ | own


def _wait(service: Service, server: Server) -> None:
    deadline = time.monotonic() + _SERVER_START_S
    while time.monotonic() < deadline and service.process is not None and service.process.poll() is None:
        if server.is_up():
            return
        time.sleep(0.1)
    raise ConfigError(f"the Prefect server did not start: {full_disk(service.log.parent) or f'see {service.log}'}")


def _deploy(environment: dict[str, str], home: Path) -> None:
    log = home / "deploy.log"
    process = start_reaped(deploy_command(), environment, log)
    try:
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status:
        raise ConfigError(f"the flows could not be deployed: {full_disk(home) or f'see {log}'}")
