"""A real Prefect server on loopback for the whole session, and the command line as its user runs it."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from integration.made_once import made_once

CHAIN = """
[[sources]]
kind = "simulated"
stations = 3
history = "100d"
seed = 4

[model]
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
    """Run `daycast …` in a folder, as from a shell; returns the finished process."""

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "daycast", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    return run


@pytest.fixture(scope="session")
def chain(daycast, tmp_path_factory):
    """A folder in which `daycast run` was run once on a small simulated network, undisturbed."""

    def run(folder: Path) -> None:
        (folder / "daycast.toml").write_text(CHAIN)
        done = daycast(folder, "run", "--until", UNTIL)
        assert done.returncode == 0, done.stderr
        (folder / "summary.txt").write_text(done.stdout)

    return made_once(tmp_path_factory, "chain", run)
