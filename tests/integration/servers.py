"""Real servers on loopback, each in a folder of its own and as long as a block: an MQTT broker and MariaDB."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE_S = 300.0  # for a server to start, on a busy machine


def program(*names: str) -> str:
    """Where one of these programs is; skips the test if none is installed."""
    beside = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = next(filter(None, (shutil.which(name, path=beside) for name in names)), None)
    if found is None:
        pytest.skip(f"{names[0]} is not installed: on Debian, apt-get install mosquitto mariadb-server")
    return found


def free_port() -> int:
    """A port that nobody has now; its user tries again with another one if somebody was faster."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(process: subprocess.Popen, port: int) -> bool:
    """Whether the process listens on the port, once it does; False if it ended."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        assert time.monotonic() < deadline, f"nothing listens on {port}"
        time.sleep(0.05)
    return False


def as_nobody(folder: Path) -> dict[str, object]:
    """Arguments of Popen for programs that refuse to be root; the folder then belongs to nobody."""
    if os.geteuid() != 0:
        return {}
    for path in [folder, *folder.rglob("*")]:
        shutil.chown(path, "nobody")
    for above in folder.parents:
        if above.stat().st_uid == 0 and not above.stat().st_mode & 0o001 and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o011)  # pytest's folders are for their owner alone
    return {"user": "nobody", "extra_groups": []}


@dataclass
class Broker:
    """A running mosquitto; `restart` stops and starts it, with what it had saved."""

    folder: Path
    port: int
    lines: Sequence[str]
    process: subprocess.Popen | None = None

    def start(self) -> bool:
        """Whether it listens, once it does."""
        beginning = [
            f"listener {self.port} 127.0.0.1",
            f"persistence_location {self.folder}/",
            f"pid_file {self.folder}/pid",
        ]
        user = [] if os.geteuid() else ["user root"]
        (self.folder / "mosquitto.conf").write_text("\n".join([*beginning, *user, *self.lines]) + "\n")
        command = [program("mosquitto"), "-c", str(self.folder / "mosquitto.conf")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return wait_for(self.process, self.port)

    def stop(self) -> None:
        """End it in good order."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE_S)

    def restart(self) -> None:
        self.stop()
        assert self.start()


@contextmanager
def mosquitto(folder: Path, *lines: str) -> Iterator[Broker]:
    """A broker with these lines of configuration besides its listener; it keeps its sessions in the folder."""
    folder.mkdir(exist_ok=True)
    program("mosquitto")
    broker = next(broker for broker in (Broker(folder, free_port(), lines) for _ in range(20)) if broker.start())
    try:
        yield broker
    finally:
        broker.stop()


@dataclass(frozen=True)
class MariaDb:
    """A running MariaDB, whose root needs no password by the socket."""

    port: int
    socket: Path

    def run(self, script: str) -> str:
        """What the statements print."""
        command = [program("mariadb", "mysql"), "--no-defaults", f"--socket={self.socket}", "--user=root", "--batch"]
        done = subprocess.run(command, input=script, text=True, capture_output=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def mariadb(folder: Path, *options: str) -> Iterator[MariaDb]:
    """A server with a data folder of its own."""
    folder.mkdir()
    server, install = program("mariadbd", "mysqld"), program("mariadb-install-db", "mysql_install_db")
    user = as_nobody(folder)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **user}
    plain = [f"--datadir={folder / 'data'}", "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run([install, "--no-defaults", *plain], check=True, timeout=PATIENCE_S, **quiet)
    for _ in range(20):
        port, path = free_port(), folder / "s"
        where = [f"--datadir={folder / 'data'}", "--bind-address=127.0.0.1", f"--port={port}", f"--socket={path}"]
        process = subprocess.Popen([server, "--no-defaults", *where, *options], **quiet)
        if wait_for(process, port):
            break
    try:
        yield MariaDb(port, path)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
