"""A real Prefect server on loopback for the whole session, and the command line as its user runs it."""

import logging
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from daycast.__main__ import main
from daycast.cli.flows import QUIET
from daycast.service.ephemeral_server import EphemeralServer
from daycast.settings import load as present
from daycast.times import parse_time
from integration.made_once import made_once

CHAIN = """
[[sources]]
kind = "simulated"
stations = 3
history = "80d"
seed = 4

[model]
targets = ["air_temperature_c", "relative_humidity_pct", "wind_speed_m_s", "precipitation_mm"]
inputs = ["wind_speed_m_s"]  # nothing besides the targets: the linear path's time grows with the cube of the variables
cell = "lstm"
ensemble_size = 1
epochs = 1
steps_per_epoch = 5
validation_days = 10
holdout_days = 10
"""
UNTIL = "2026-06-01T00:00:00Z"  # by the clock of the chain


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment of a user whose Prefect server runs; no DAYCAST_* variable of the developer gets in."""
    home = tmp_path_factory.mktemp("prefect")
    foreign = ("DAYCAST_", "PREFECT_", "PANDERA_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    clean |= {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    server = EphemeralServer(home / "server")
    server.wait()
    yield {**clean, **server.environment}
    server.process.terminate()
    server.process.wait(timeout=300)


class Daycast:
    """The command line, `daycast …` in a folder, as from a shell.

    It is forked from a process that has imported everything, for that is most of what a command takes.
    """

    def __init__(self, outputs: Path) -> None:
        self._forks, self._outputs, self._numbers = multiprocessing.get_context("forkserver"), outputs, count()

    def __call__(
        self, folder: Path, *arguments: str, fatal: str | None = None, clock: str | None = None
    ) -> subprocess.CompletedProcess:
        """The finished process; with `fatal` as of `die_at`. clock: the time it takes for now, which stands still."""
        said = [self._outputs / f"{next(self._numbers)}.{name}" for name in ("stdout", "stderr")]
        process = self._forks.Process(target=execute, args=(folder, arguments, *said, fatal, clock))
        process.start()
        process.join(1800)
        assert process.exitcode is not None, f"still running: {arguments}"
        return subprocess.CompletedProcess(arguments, process.exitcode, *(path.read_text() for path in said))


@pytest.fixture(scope="session")
def daycast(environment, tmp_path_factory):
    multiprocessing.get_context("forkserver").set_forkserver_preload(["daycast.flows.pipeline", "daycast.__main__"])
    with pytest.MonkeyPatch.context() as patch:
        for name in {*os.environ} - {*environment}:
            patch.delenv(name)
        for name, value in {**environment, **QUIET}.items():
            patch.setenv(name, value)
        multiprocessing.forkserver.ensure_running()
    return Daycast(tmp_path_factory.mktemp("outputs"))


def execute(
    folder: Path, arguments: Sequence[str], stdout: Path, stderr: Path, fatal: str | None, clock: str | None
) -> None:
    """Be `daycast …`."""
    os.chdir(folder)
    if clock:
        present.wall_clock = lambda: parse_time(clock)
    if fatal:
        die_at(fatal)
    sys.argv = ["daycast", *arguments]
    for stream, path in ((sys.stdout, stdout), (sys.stderr, stderr)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    sys.exit(main(list(arguments)))


def die_at(point: str) -> None:
    """Have this process killed with SIGKILL once its log comes to `point`, or a file of that name is there."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def watch() -> None:
        while not Path(point).exists():
            time.sleep(0.001)
        die()

    logging.getLogger("daycast").addFilter(lambda record: point not in record.getMessage() or die())
    threading.Thread(target=watch, daemon=True).start()


@pytest.fixture(scope="session")
def chain(daycast, tmp_path_factory):
    """A folder in which `daycast run` was run once on a small simulated network, undisturbed."""

    def run(folder: Path) -> None:
        (folder / "daycast.toml").write_text(CHAIN)
        done = daycast(folder, "run", clock=UNTIL)
        assert done.returncode == 0, done.stderr
        (folder / "summary.txt").write_text(done.stdout)

    return made_once(tmp_path_factory, "chain", run)
