"""A real PostgreSQL on loopback for the whole session, with a password, in a folder of its own; a new lake for each test."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from daycast.warehouse.lake import Lake

PASSWORD = "open sesame"  # noqa: S105 - of a server that lives as long as the tests


def program(name: str) -> str | None:
    """Where a program of PostgreSQL's is: on PATH, or where Debian puts the newest."""
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(beside[-1]) if beside else None)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The server's address without a database; libpq finds the password in the environment."""
    programs = {name: program(name) for name in ("initdb", "pg_ctl", "postgres", "createdb")}
    if missing := [name for name, path in programs.items() if path is None]:
        pytest.skip(f"PostgreSQL's server programs are not installed: {', '.join(missing)}")
    for package in ("ducklake", "postgres_scanner"):
        pytest.importorskip(f"duckdb_extension_{package}", reason="pip install 'daycast[lake]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="daycast-postgres-"))
    (folder / "password").write_text(PASSWORD)
    user = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}  # the server refuses to run as root
    if user:
        shutil.chown(folder, "nobody")
        shutil.chown(folder / "password", "nobody")

    def run(name: str, *arguments: str) -> None:
        command = [str(programs[name]), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=120, **user)

    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    data = ["-D", str(folder / "data")]
    run("initdb", *data, "-U", "daycast", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "-E", "UTF8", "-N")
    os.environ["PGPASSWORD"] = PASSWORD
    try:
        run("pg_ctl", *data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        yield f"postgresql://daycast@127.0.0.1:{port}"
    finally:
        run("pg_ctl", *data, "-m", "immediate", "stop")
        del os.environ["PGPASSWORD"]
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def new_lake(address: str, _numbers: Iterator[int], tmp_path: Path) -> Callable[[], Lake]:
    """A function that gives a lake nobody has opened yet."""

    def make() -> Lake:
        name = f"lake{next(_numbers)}"
        subprocess.run([str(program("createdb")), "--maintenance-db", f"{address}/postgres", name], check=True)
        (tmp_path / name).mkdir()
        return Lake(f"{address}/{name}", str(tmp_path / name))

    return make
