"""Without a Prefect server of the user's, a command brings its own, which ends with it however that ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daycast.service import ephemeral_server as own_server
from integration.chain.test_own_csv import UNTIL, write_garden

with_processes_shown = pytest.mark.skipif(
    not Path("/proc").is_dir(), reason="this machine does not show its processes in /proc"
)
PATIENCE_S = 300.0  # for a server to come up or to end, on a busy machine


@pytest.fixture
def alone(environment):
    """The environment of a user who runs no Prefect server."""
    return {name: value for name, value in environment.items() if not name.startswith("PREFECT_")}


def servers_of(folder: Path) -> list[int]:
    """The processes whose Prefect state lies in `folder`, but for the command itself."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environ, command = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if f"PREFECT_HOME={folder}".encode() in environ and b"daycast.service.prefect_server" in command:
            found.append(int(process.name))
    return found


def wait_until(condition) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and not condition():
        time.sleep(0.1)
    return condition()


@pytest.mark.slow
@with_processes_shown
def test_its_state_is_in_the_data_folder_and_it_is_gone_afterwards(alone, tmp_path):
    write_garden(tmp_path, 30)
    command = [sys.executable, "-m", "daycast", "ingest", "--until", UNTIL]
    done = subprocess.run(
        command, cwd=tmp_path, env=alone, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "30 rows delivered" in done.stdout
    assert (tmp_path / "data" / "prefect" / "commands" / "prefect.db").is_file()
    assert wait_until(lambda: not servers_of(tmp_path))


@pytest.mark.slow
@with_processes_shown
def test_it_is_gone_even_when_the_command_was_killed(alone, tmp_path):
    write_garden(tmp_path, 30)
    command = [sys.executable, "-m", "daycast", "ingest", "--until", UNTIL]
    process = subprocess.Popen(command, cwd=tmp_path, env=alone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert wait_until(lambda: bool(servers_of(tmp_path)))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert wait_until(lambda: not servers_of(tmp_path))


def test_the_server_inherits_the_port_of_its_address(tmp_path, monkeypatch):
    """Bound, so that nobody can take it before the server listens."""
    bound = []

    def start(command: list[str], *, pass_fds: list[int], **_: object) -> None:
        assert command[command.index("--socket") + 1] == str(pass_fds[0])
        with socket.socket(fileno=os.dup(pass_fds[0])) as inherited:
            bound.append("http://{}:{}/api".format(*inherited.getsockname()))

    monkeypatch.setattr(own_server.subprocess, "Popen", start)
    assert [own_server.EphemeralServer(tmp_path / "prefect").url] == bound


@pytest.mark.parametrize(
    ("size_mb", "used_elsewhere", "kept"), [(63, False, True), (65, False, False), (65, True, True)]
)
def test_its_past_is_forgotten_when_it_is_large_and_no_other_server_lives_there(
    tmp_path, monkeypatch, size_mb, used_elsewhere, kept
):
    monkeypatch.setattr(own_server.subprocess, "Popen", lambda *_, **__: None)
    home = tmp_path / "prefect" / "commands"
    other = own_server.EphemeralServer(home) if used_elsewhere else None
    home.mkdir(parents=True, exist_ok=True)
    with (home / "prefect.db-wal").open("wb") as file:
        file.truncate(size_mb * 2**20)
    own_server.EphemeralServer(home)
    assert (home / "prefect.db-wal").exists() == kept
    assert home.is_dir()
    del other
