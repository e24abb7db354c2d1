"""Keep a Prefect server, its two workers and the deployments running, as one process."""

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
from daycast.service.access import access_settings, entry_address, keep_auth, make_private
from daycast.service.deploy import POOLS, create_what_deployments_need, deploy_command
from daycast.service.prefect_server import bind
from daycast.service.server import RefusedError, Server, crash_orphaned_runs, free_slots
from daycast.service.supervisor import Service, holding, read_note, start_reaped, write_state
from daycast.service.trigger import trigger
from daycast.settings import Settings

# Start `daycast up` in the background, and return once all is up.


_DETACHED_PATIENCE_S = 300
_NOTE_EVERY_S = 0.1


def up_detached(arguments: Sequence[str], home: Path) -> str:
    """Run `daycast up` with these arguments in a session of its own; returns its server's address and where it says what it does.

    Raises ConfigError with its last words where it ends instead; an interrupt, or too long a wait, ends it.
    """
    make_private(home)
    log = home / "up.log"
    with log.open("ab") as sink:
        told = sink.tell()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", "-m", "daycast", "up", *arguments],  # not from a daycast.py of the user
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        url = _wait_for_note(process, home)
    except BaseException:
        process.terminate()
        raise
    if url is None:
        words = log.read_bytes()[told:].decode(errors="replace").strip().splitlines() or [f"it ended: see {log}"]
        raise ConfigError(words[-1].removeprefix("daycast: "))
    return f"up: open {entry_address(url, keep_auth(home))}\n`daycast down` stops it; what it says goes to {log}"


def _wait_for_note(process: subprocess.Popen[bytes], home: Path) -> str | None:
    """The server's address once all is up; None where the process ended."""
    deadline = time.monotonic() + _DETACHED_PATIENCE_S
    while time.monotonic() < deadline:
        note = read_note(home)  # not read_state, whose look at the lock could come in between
        if note.get("pid") == process.pid and note["ready"]:
            return str(note["url"])
        if process.poll() is not None:
            return None
        time.sleep(_NOTE_EVERY_S)
    raise ConfigError(f"daycast is not up after {_PATIENCE_S} s: see the logs in {home}")


USUAL_PORT = 4200
_PATIENCE_S = 120
_LOOK_EVERY_S = 0.5
_log = logging.getLogger("daycast")


class _Ended(Exception):  # noqa: N818 - no error
    """SIGTERM or SIGINT came."""


def up(settings: Settings, config: Path | None, port: int | None, announce: Callable[[str], None]) -> None:
    """Start everything, restart what dies, and stop everything on SIGINT or SIGTERM.

    announce: shows the address that lets a browser in, and so holds the password.

    Raises ConfigError where the server or the deployments do not come up, or a supervisor with the same data folder runs.
    """
    home = settings.data / "prefect"
    with holding(home) as state, ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
        try:
            # held as long as we live, so that a server that is started again finds its port
            bound = stack.enter_context(_bind(port))
            url = f"http://127.0.0.1:{bound.getsockname()[1]}/api"
            auth = keep_auth(home)
            environment = _environment(settings, config, home, url) | access_settings(auth)
            write_state(state, url, ready=False)

            def keep(name: str, *arguments: str, sockets: Sequence[socket.socket] = ()) -> Service:
                service = Service(name, [sys.executable, "-m", *arguments], environment, home, sockets)
                stack.callback(service.stop)
                return service

            shutil.rmtree(home / "concurrency_leases", ignore_errors=True)  # nobody is at work yet
            process = keep("server", "daycast.service.prefect_server", "--socket", str(bound.fileno()), sockets=[bound])
            server = Server(url, auth)
            _wait(process, server)
            alert = settings.live.alert_url
            create_what_deployments_need(server, alert.get_secret_value() if alert else None)
            crash_orphaned_runs(server)
            free_slots(server)
            workers = {pool: keep(f"worker-{pool}", "prefect", "worker", "start", "--pool", pool) for pool in POOLS}
            _deploy(environment, home)
            if not settings.published.exists():
                trigger(server, "pipeline", [], dry_run=False)
            write_state(state, url, ready=True)
            announce(f"up: open {entry_address(url, auth)}")
            _log.info("`daycast down` or Ctrl-C stops it; logs in %s", home)
            _keep_running(server, process, workers)
        except _Ended:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            _log.info("stopping")
    _log.info("down")


def _keep_running(server: Server, process: Service, workers: Mapping[str, Service]) -> NoReturn:
    while True:
        _revive(server, process, workers)
        time.sleep(_LOOK_EVERY_S)


def _revive(server: Server, process: Service, workers: Mapping[str, Service]) -> None:
    again = "%s had ended and was started again: see %s"
    if process.revive():
        _log.warning(again, process.name, process.log)
    for pool, worker in workers.items():
        if worker.revive():
            _log.warning(again, worker.name, worker.log)
            try:  # its guard ended what it ran
                crash_orphaned_runs(server, pool)
            except (ConfigError, RefusedError):
                _log.warning("what it ran will be known as crashed by its missing heartbeats")


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


def _bind(port: int | None) -> socket.socket:
    """At this port of loopback; by default at Prefect's usual one, or any."""
    for choice in (USUAL_PORT, 0) if port is None else (port,):
        with suppress(OSError, OverflowError):
            return bind("127.0.0.1", choice)
    taken = "no port is free on 127.0.0.1" if port is None else f"port {port} of 127.0.0.1 cannot be used"
    raise ConfigError(f"{taken}: name another with --port")


def _environment(settings: Settings, config: Path | None, home: Path, url: str) -> dict[str, str]:
    ours = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # on disk, so that a server that was killed still knows who holds which slot, and until when
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
        # This service marks all late runs at once, in transactions that lock each other out of SQLite. When the garbage of these
        # errors is collected, the event loop waits for a connection that waits for the lock: the server stands still a minute.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",  # runs older than
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * 24 * 3600),
        "DO_NOT_TRACK": "1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # by which runs that lost their process are known
        "DAYCAST_DATA": str(settings.data),
    }
    ours |= {"DAYCAST_CONFIG": str(config)} if config else {"DAYCAST_FOLDER": str(Path.cwd())}
    return os.environ | ours


def _wait(service: Service, server: Server) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and service.process is not None and service.process.poll() is None:
        if server.is_up():
            return
        time.sleep(0.1)
    raise ConfigError(f"the Prefect server did not start: see {service.log}")


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
        raise ConfigError(f"the flows could not be deployed: see {log}")
