"""A real Prefect server on loopback for the whole session, and the command line as its user runs it."""

import multiprocessing
import multiprocessing.forkserver
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from daycast.__main__ import main
from daycast.commands.flow import QUIET
from integration.made_once import made_once

CHAIN = """
[[sources]]
kind = "simulated"
stations = 3
history = "100d"
seed = 4

[model]
targets = ["air_temperature_c", "relative_humidity_pct", "wind_speed_m_s", "precipitation_mm"]
inputs = ["dew_point_c"]
cell = "lstm"
members = 1
epochs = 2
steps_per_epoch = 5
validation_days = 10
judgement_days = 10
"""
UNTIL = "2026-06-01T00:00:00Z"


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment of a user whose Prefect server runs; no DAYCAST_* variable of the developer gets in."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    foreign = ("DAYCAST_", "PREFECT_", "PANDERA_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    clean |= {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = home / "server.log"
    with log.open("wb") as sink, subprocess.Popen(command, env=clean, stdout=sink, stderr=sink) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/api/health", server, log)
            yield {**clean, "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).read()  # noqa: S310 - loopback
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"the Prefect server did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def daycast(environment):
    """Run `daycast …` in a folder, as from a shell; returns the finished process.

    It is forked from one that has imported everything, for that is most of what a command takes.
    """
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["daycast.flows.pipeline", "daycast.__main__"])
    with pytest.MonkeyPatch.context() as patch:
        for name in {*os.environ} - {*environment}:
            patch.delenv(name)
        for name, value in {**environment, **QUIET}.items():
            patch.setenv(name, value)
        multiprocessing.forkserver.ensure_running()

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
        with tempfile.TemporaryDirectory() as name:
            said = [Path(name) / "stdout", Path(name) / "stderr"]
            process = forks.Process(target=execute, args=(folder, arguments, *said))
            process.start()
            process.join(300)
            assert process.exitcode is not None, f"still running: {arguments}"
            return subprocess.CompletedProcess(arguments, process.exitcode, *(path.read_text() for path in said))

    return run


def execute(folder: Path, arguments: Sequence[str], stdout: Path, stderr: Path) -> None:
    """Be `daycast …`."""
    os.chdir(folder)
    sys.argv = ["daycast", *arguments]
    for stream, path in ((sys.stdout, stdout), (sys.stderr, stderr)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    sys.exit(main(list(arguments)))


@pytest.fixture(scope="session")
def chain(daycast, tmp_path_factory):
    """A folder in which `daycast run` was run once on a small simulated network, undisturbed."""

    def run(folder: Path) -> None:
        (folder / "daycast.toml").write_text(CHAIN)
        done = daycast(folder, "run", "--until", UNTIL)
        assert done.returncode == 0, done.stderr
        (folder / "summary.txt").write_text(done.stdout)

    return made_once(tmp_path_factory, "chain", run)
