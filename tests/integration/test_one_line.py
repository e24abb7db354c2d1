"""Whatever goes wrong is told in one line, without a traceback, without a secret, and with exit status 1."""

import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daycast.__main__ import main
from daycast.cli import pipeline
from daycast.cli.error_log import LOG, log_unexpected
from daycast.variables import BUILT_IN
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.warehouse import Warehouse
from unit.sources.http_server import Answer, serve

pytestmark = pytest.mark.slow

NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)
SQL = ("sql", "select 1 as one", "--format", "csv")


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A data folder with an empty warehouse and its published file."""
    data = tmp_path_factory.mktemp("published") / "data"
    with Warehouse(data / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as con:
        publish(con, data / "published.duckdb")
    return data


@pytest.fixture
def place(published, tmp_path, monkeypatch) -> Path:
    """The working directory, with a copy of that folder; the temporary folder is a folder of its own."""
    shutil.copytree(published, tmp_path / "data")
    (tmp_path / "daycast.toml").write_text('data = "data"\n')
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("DAYCAST_", "PREFECT_")):
            monkeypatch.delenv(name)
    for owner, name in ((threading, "excepthook"), (sys, "unraisablehook")):  # main sets them: put back afterwards
        monkeypatch.setattr(owner, name, getattr(owner, name))
    return tmp_path


@pytest.fixture
def tell(place, capfd) -> Callable[..., str]:
    """Run a command that has to fail; the one line that it says."""

    def run(*arguments: str) -> str:
        assert main(list(arguments)) == 1
        shown = capfd.readouterr()
        assert shown.err.count("\n") == 1, shown.err
        assert shown.err.startswith("daycast: ")
        return shown.err.removeprefix("daycast: ").rstrip("\n")

    return run


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("DAYCAST_SOURCES", "[1,2", "sets DAYCAST_SOURCES, and what begins with [ must be a list in JSON"),
        ("DAYCAST_SOURCES", "[" * 100_000, "sets DAYCAST_SOURCES, and what begins with [ must be a list in JSON"),
        ("DAYCAST_DATA", "", "data: it is empty: name a folder, or leave it out"),
        ("DAYCAST_DATA", "what?", "what? has a '?', where the address of Prefect's database would end: name another"),
        ("DAYCAST_DATA", "file", "file is a file where a folder should be: move it away"),
        ("DAYCAST_DATA", "file/data", "file is a file where a folder should be: move it away"),
        ("DAYCAST_DATA", "x" * 5000, "cannot be a folder: File name too long"),
        ("DAYCAST_DATA__X", "1", "sets DAYCAST_DATA__X, and 'data' is no table: set it as a whole"),
        ("DAYCAST_CONFIG", "x" * 5000, "there is no configuration file 'xxx"),
    ],
)
def test_an_environment_that_cannot_be_is_told_in_one_line(place, tell, monkeypatch, variable, value, said):
    (place / "file").touch()
    (place / "daycast.toml").write_text('data = "data"\n')
    monkeypatch.setenv(variable, value)
    assert said in tell(*SQL)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"data = [[", "is not valid TOML"),
        (b"x = " + b"1" * 5000, "is not valid TOML"),
        (b"x = " + b"[" * 50_000, "is not valid TOML"),
        ('data = "data"'.encode("utf-16"), "is not text in UTF-8, from byte 0 on: save it as that"),
        ('data = "data"'.encode("utf-16-le"), "is not text in UTF-8: save it as that"),
        ('data = "Zürich"'.encode("latin-1"), "is not text in UTF-8, from byte 9 on: save it as that"),
        (b'data = "\\u0000"', "data: "),
    ],
    ids=["toml", "digits", "depth", "utf-16", "utf-16-le", "latin-1", "nul"],
)
def test_a_configuration_that_cannot_be_read_is_told_in_one_line(place, tell, content, said):
    (place / "daycast.toml").write_bytes(content)
    assert said in tell(*SQL)


def test_a_configuration_with_a_byte_order_mark_is_read(place, capsys):
    (place / "daycast.toml").write_bytes(b'\xef\xbb\xbfdata = "elsewhere"')
    (place / "data").rename(place / "elsewhere")
    assert main([*SQL]) == 0
    assert capsys.readouterr().out == "one\n1\n"


QUERY = """
[[sources]]
kind = "sql"
name = "plant"
query = "from b.log"
station = { column = "station" }
time = { column = "time" }
columns = { air_temperature_c = "temp" }
"""
THINGS = '[[sources]]\nkind = "sensorthings"\nname = "things"\nurl = "https://a.example/v1.1"\n'
MISTAKES = {
    "a DSN in place of a variable's name": QUERY + 'attach = { b = { postgres_env = "postgresql://me:hush@db/x" } }',
    "a password in place of a variable's name": QUERY + 'attach = { b = { postgres_env = "hush" } }',
    "a DSN in place of a file": QUERY + 'attach = { b = "postgresql://me:hush@db/weather" }',
    "a DSN of another form in place of a file": QUERY + 'attach = { b = "host=db password=hush" }',
    "a token in place of a variable's name": THINGS + 'http = { credential = { env = "hush-1" } }',
    "a password in place of the name of a token": THINGS + 'http = { credential = { env = "hush" } }',
    "a token as the whole credential": THINGS + 'http = { credential = "hush" }',
    "a token as all of http": THINGS + 'http = "hush"',
    "a password in an address": THINGS.replace("a.example", "me:hush@a.example"),
    "a key in an address": THINGS.replace("v1.1", "v1.1?key=hush"),
    "an alert address with a space": '[live]\nalert_url = "https://a.example/T0 hush"',
    "a heartbeat address with a space": '[live]\nheartbeat_url = "https://a.example/hush "',
    "an address in place of its table": 'live = "https://a.example/hush"',
    "a list in place of a table": '[[live]]\nalert_url = "https://a.example/hush"',
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_secret_in_the_wrong_place_is_never_shown(place, tell, capfd, mistake):
    (place / "daycast.toml").write_text(mistake)
    assert main(["doctor", "--until", "2026-06-01"]) == 1
    shown = capfd.readouterr()
    assert "hush" not in shown.out + shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("http://127.0.0.1:{}/api", "no Prefect server answers at http://127.0.0.1:"),
        ("http://me:hush@127.0.0.1:{}/api", "is of no use: "),
        (
            "prefect",
            "PREFECT_API_URL is of no use: no Prefect server answers at prefect (unknown url type: 'prefect/health')",
        ),
        ("http://[::1", "PREFECT_API_URL is of no use: no Prefect server answers at http://[::1 (Invalid IPv6 URL)"),
    ],
)
def test_a_prefect_server_out_of_reach_is_told_before_anything_is_started(
    place, tell, monkeypatch, unused_port, server, said
):
    monkeypatch.setenv("PREFECT_API_URL", server.format(unused_port))
    line = tell("verify")
    assert said in line
    assert "hush" not in line
    assert not (place / "data" / "prefect").exists()


@pytest.mark.parametrize("command", ["verify", "trigger verify", "deploy"])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(404, b'{"error": "none"}'), '(404: {"error": "none"})'),
        (Answer(200, b"<html>welcome</html>"), "(Expecting value: line 1 column 1 (char 0))"),
        (Answer(200, b'"well"'), "(well)"),
        (Answer(200, b"true", drip_head_s=0.2), "(no answer within 1 s)"),
    ],
    ids=["not found", "a page", "other JSON", "byte by byte"],
)
def test_a_server_that_is_not_prefects_is_told(place, tell, monkeypatch, command, answer, said):
    monkeypatch.setattr("daycast.service.server._CHECK_S", 1)
    with serve(lambda _: answer) as server:
        monkeypatch.setenv("PREFECT_API_URL", f"{server.url}/api")
        assert f"no Prefect server answers at {server.url}/api {said}" in tell(*command.split())


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def damage(path: Path, at: int, count: int = 200_000) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(os.urandom(count))


@pytest.mark.parametrize("at", [0, 20_000], ids=["header", "blocks"])
def test_a_damaged_published_file_is_told_in_one_line(place, tell, at):
    damage(place / "data" / "published.duckdb", at)
    assert "published.duckdb" in tell("sql", "from latest_forecasts") or "Corrupt" in tell(
        "sql", "from latest_forecasts"
    )


def test_a_table_dropped_by_hand_is_told_in_one_line(place, tell):
    with Warehouse(place / "data" / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as con:
        con.execute("drop table scores cascade")
    assert "scores" in tell("report")


def fail(error: BaseException) -> Callable[..., None]:
    def command(_args: object) -> None:
        raise error

    return command


DSN = "postgresql:/me:hush@db/weather"  # as a path shows it


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/d/x"),
            "OSError: [Errno 28] No space left on device: '/d/x'; make room",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/d"),
            "PermissionError: [Errno 13] Permission denied: '/d'; give",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "/d"),
            "Read-only file system: '/d'; name a folder that can be written",
        ),
        (MemoryError(), "MemoryError; the traceback is in "),
        (ValueError("one\n\ttwo"), "ValueError: one two; the traceback is in "),
        (
            BrokenPipeError(errno.EPIPE, "Broken pipe"),
            "BrokenPipeError: [Errno 32] Broken pipe; the traceback",
        ),  # not of stdout
        (ValueError(DSN), "ValueError: postgresql:/…@db/weather; the traceback is in "),
        (BaseException("a panic of polars"), "BaseException: a panic of polars; the traceback is in "),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_nobody_has_foreseen_is_one_line_and_its_traceback_is_in_a_log(place, tell, monkeypatch, error, said):
    monkeypatch.setattr(pipeline, "_publish", fail(error))
    line = tell("publish")
    log = place / "data" / LOG
    assert said in line
    assert line.endswith(f"the traceback is in {log}")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "Traceback (most recent call last)" in log.read_text()
    assert f"{type(error).__name__}" in log.read_text()
    assert "hush" not in log.read_text()


def test_a_thread_that_fails_prints_no_traceback(place, monkeypatch, capfd):
    def command(_args: object) -> None:
        thread = threading.Thread(target=fail(ValueError("in a thread")), args=(None,))
        thread.start()
        thread.join()

    monkeypatch.setattr(pipeline, "_publish", command)
    assert main(["publish"]) == 0
    assert capfd.readouterr().err == ""
    assert "ValueError: in a thread" in (place / "data" / LOG).read_text()


def test_where_the_data_folder_is_no_place_for_a_log_it_is_in_the_temporary_folder(place):
    (place / "data" / LOG).mkdir()
    for folder in (None, place / "nowhere", place / "data"):
        assert str(place / "tmp" / "daycast-") in log_unexpected(ValueError("x"), folder)
    shutil.rmtree(place / "tmp")
    assert log_unexpected(ValueError("x"), None) == "ValueError: x; its traceback could not be written anywhere"


def test_a_full_disk_is_told_whatever_error_it_shows_as(place, monkeypatch):
    """Prefect's server answers 500 then, and says nothing of the disk."""
    usage = shutil.disk_usage(place)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    line = log_unexpected(RuntimeError("Server error '500 Internal Server Error'"), place / "data")
    assert f"500 Internal Server Error'; no space is left in {place / 'data'}: make room there; the traceback" in line


def test_the_log_of_errors_is_no_link_to_a_file_of_somebody_else(place):
    other = place / "other"
    other.write_text("precious")
    (place / "data" / LOG).symlink_to(other)
    assert str(place / "tmp") in log_unexpected(ValueError("x"), place / "data")
    assert other.read_text() == "precious"


def test_the_log_of_errors_keeps_the_newest_and_stays_small(place):
    for number in range(60):
        log_unexpected(ValueError(f"number {number} " + "x " * 20_000), place / "data")
    text = (place / "data" / LOG).read_text()
    assert len(text) < 1_100_000
    assert "number 59 " in text
    assert "number 0 " not in text


def shell(place: Path, command: str) -> subprocess.CompletedProcess:
    daycast = f'"{sys.executable}" -m daycast'
    return subprocess.run(
        ["bash", "-c", command.replace("daycast", daycast)], cwd=place, capture_output=True, text=True, check=False
    )


MANY = "daycast sql 'from range(300000)' --format"


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(
    ("command", "read"),
    [
        (f"{MANY} json | head -c 3", '[{"'),
        (f"{MANY} csv | head -c 3", "ran"),
        (f"{MANY} table | true", ""),
        ("daycast --help | true", ""),
        ("daycast --print-completion bash | true", ""),
    ],
)
def test_whoever_reads_the_answer_may_stop_early(place, command, read):
    done = shell(place, command)
    assert (done.stdout, done.stderr) == (read, "")


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(
    ("command", "said", "status"),
    [
        pytest.param(
            "daycast sql 'select 1' > /dev/full",
            "daycast: OSError: [Errno 28] No space left on device; make room",
            1,
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="this machine has no /dev/full"),
        ),
        ("daycast sql 'select 1' >&-", "", 0),
        ("daycast sql 'selec 1' 2>&-", "", 1),
        ("PYTHONIOENCODING=ascii daycast sql \"select 'é' as x, null as y\"", "", 0),
    ],
)
def test_an_output_that_cannot_be_written_costs_no_traceback(place, command, said, status):
    done = shell(place, command)
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)
    assert done.returncode == status
