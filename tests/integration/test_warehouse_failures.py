"""What stands in the way of the warehouse and of the published file is told apart, at once, each with its way out."""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from daycast.errors import StorageError, WarehouseError
from daycast.variables import BUILT_IN
from daycast.warehouse import warehouse as connect
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.publish.query import query_published
from daycast.warehouse.warehouse import Warehouse

pytestmark = pytest.mark.slow

NOW = datetime(2026, 2, 1, tzinfo=UTC)
HEADERS = 3 * 4096  # then come the blocks


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        con.execute("insert into stations (station_id) values ('first')")
    return path


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for the lock of what is no lock's fault fails at once."""

    def wait(_: float) -> None:
        raise AssertionError("it was waited for")

    monkeypatch.setattr(connect, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=wait))


def letters(path: Path) -> None:
    path.write_text("a letter, long enough to be taken for a file of some kind " * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def alter(path: Path, *places: int) -> None:
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 255
    path.write_bytes(content)


def header(path: Path) -> None:
    alter(path, 30)


def database_headers(path: Path) -> None:
    alter(path, 4096 + 20, 2 * 4096 + 20)


def blocks(path: Path) -> None:
    alter(path, *range(HEADERS, path.stat().st_size, 1000))


def log(path: Path) -> None:
    leave_a_log = (
        "import duckdb, os, sys; con = duckdb.connect(sys.argv[1]); con.execute('create table a as from range(1000)');"
        "con.execute('insert into a from range(500)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", leave_a_log, str(path)], check=True)
    alter(path.with_name(f"{path.name}.wal"), 40, 60, 80, 100)


DAMAGES = [letters, empty, cut_short, header, database_headers, blocks]


def opened(path: Path) -> None:
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        con.execute("from stations").fetchall()


@pytest.mark.parametrize("damage", [*DAMAGES, log])
def test_a_damaged_warehouse_is_told_at_once_with_what_can_be_rebuilt(path: Path, damage: Callable) -> None:
    damage(path)
    with pytest.raises(WarehouseError) as caught:
        opened(path)
    told = str(caught.value)
    assert told.startswith(f"{path} is damaged (")
    assert "restore a backup" in told
    assert "daycast ingest --since" in told
    assert "\n" not in told


def test_a_block_that_is_damaged_is_told_when_it_is_read(path: Path) -> None:
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        con.execute("insert into watermarks select range::varchar, now() from range(100000)")
    size = path.stat().st_size
    alter(path, *range(size // 3, size // 3 * 2, 100))
    with pytest.raises(WarehouseError, match="is damaged"), Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        con.execute("select max(source) from watermarks").fetchall()


def test_a_warehouse_of_a_newer_duckdb_is_told_from_a_damaged_one(path: Path) -> None:
    set_version(path, 200)
    with pytest.raises(
        WarehouseError, match=r"was made by a newer DuckDB \(storage version 200, .* reads \d+ to \d+\)"
    ):
        opened(path)


def test_a_warehouse_of_an_older_duckdb_likewise(path: Path) -> None:
    set_version(path, 1)
    with pytest.raises(WarehouseError, match=r"was made by an older DuckDB \(storage version 1,"):
        opened(path)


def set_version(path: Path, version: int) -> None:
    """As another DuckDB would write it, with the checksum of its first header."""
    content = bytearray(path.read_bytes())
    content[12:20] = struct.pack("<Q", version)
    checksum = 5381
    for (word,) in struct.iter_unpack("<Q", content[8:4096]):
        checksum ^= word * 0xBF58476D1CE4E5B9 & 2**64 - 1
    content[:8] = struct.pack("<Q", checksum)
    path.write_bytes(content)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def no_superuser() -> Iterator[None]:
    """Permissions hold for whoever runs the test."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_warehouse_without_permission_is_told(path: Path, open_folder: Path, mode: int, request) -> None:
    there = Path(shutil.copy(path, open_folder))
    there.chmod(mode)
    request.getfixturevalue("no_superuser")
    with pytest.raises(
        WarehouseError, match=f"{there} cannot be used by user .*: permission denied; chmod or chown it"
    ):
        opened(there)


def test_a_folder_without_permission_is_told(open_folder: Path, request) -> None:
    open_folder.chmod(0o555)
    request.getfixturevalue("no_superuser")
    try:
        for place in (open_folder / "warehouse.duckdb", open_folder / "data" / "warehouse.duckdb"):
            with pytest.raises(WarehouseError, match=r"permission denied; chmod or chown it"):
                opened(place)
    finally:
        if not os.getuid():
            os.seteuid(0)
        open_folder.chmod(0o755)


@pytest.mark.parametrize(
    ("kind", "message", "told"),
    [  # as DuckDB says them
        (
            duckdb.IOException,
            'IO Error: Cannot open file "/d/w": Read-only file system',
            "lies on a read-only file system",
        ),
        (
            duckdb.IOException,
            'IO Error: Could not write file "/d/w": No space left on device',
            "without it .* are free in .*: make room",
        ),
        (
            duckdb.TransactionException,
            'TransactionContext Error: Failed to commit: Could not write file "/d/w.wal": No space left on device',
            "without it .* are free in .*: make room",
        ),
        (
            duckdb.IOException,
            'IO Error: Could not set lock on file "/d/w": No locks available',
            "lies on a file system that cannot lock files",
        ),
        (duckdb.IOException, 'IO Error: Could not read from file "/d/w": Input/output error', "check it, and restore"),
        (duckdb.IOException, "IO Error: something new", "cannot be used: something new"),
    ],
)
@pytest.mark.parametrize("when", ["opened", "used"])
def test_what_the_operating_system_refuses_is_told_by_its_kind(
    path: Path, kind: type[duckdb.Error], message: str, told: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise kind(message)

    if when == "opened":
        monkeypatch.setattr(duckdb, "connect", refuse)
    with pytest.raises(WarehouseError, match=told) as caught, Warehouse(path, BUILT_IN.values()).write(NOW):
        refuse()
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_or_folder_in_the_place_of_the_other_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    (tmp_path / "warehouse.duckdb").mkdir()
    with pytest.raises(WarehouseError, match=rf"{tmp_path}/data is a file where a folder should be: move it away"):
        opened(tmp_path / "data" / "warehouse.duckdb")
    with pytest.raises(WarehouseError, match=r"warehouse.duckdb is a folder where a file should be: move it away"):
        opened(tmp_path / "warehouse.duckdb")


def test_a_view_that_was_dropped_by_hand_is_made_again(path: Path) -> None:
    with duckdb.connect(path) as con:
        con.execute("drop view champion")
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        assert con.execute("from champion").fetchall() == []


def test_a_table_that_was_dropped_by_hand_is_told(path: Path) -> None:
    with duckdb.connect(path) as con:
        con.execute("drop table watermarks")
    with (
        pytest.raises(WarehouseError, match=r"altered by hand \(Table with name watermarks does not exist!\): restore"),
        Warehouse(path, BUILT_IN.values()).write(NOW) as con,
    ):
        con.execute("from watermarks")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_published_file_is_told_and_the_next_one_is_made_without_it(
    path: Path, tmp_path: Path, damage: Callable
) -> None:
    published = tmp_path / "published.duckdb"
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        publish(con, published)
        damage(published)
        with pytest.raises(
            WarehouseError, match=r"is damaged .*: remove that file, and `daycast publish` makes it anew"
        ):
            query_published(published, "from stations")
        publish(con, published)
    assert query_published(published, "select station_id from stations").rows() == [("first",)]


def test_a_published_file_without_permission_is_told(path: Path, open_folder: Path, request) -> None:
    published = open_folder / "published.duckdb"
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        publish(con, published)
    published.chmod(0)
    request.getfixturevalue("no_superuser")
    with pytest.raises(WarehouseError, match=r"published.duckdb cannot be used by user"):
        query_published(published, "from stations")


ON_A_SMALL_DISK = """
import sys
from datetime import UTC, datetime
from pathlib import Path

from daycast.errors import StorageError, WarehouseError
from daycast.variables import BUILT_IN
from daycast.warehouse.warehouse import Warehouse
from daycast.warehouse.publish.publication import publish

now, disk, data = datetime(2026, 2, 1, tzinfo=UTC), Path(sys.argv[1]), Path(sys.argv[2])
try:
    with Warehouse(disk / "warehouse.duckdb", BUILT_IN.values()).write(now) as con:
        con.execute("insert into watermarks select uuid(), now() from range(2000000)")
except WarehouseError as error:
    print(error)
with Warehouse(data / "warehouse.duckdb", BUILT_IN.values()).write(now) as con:
    con.execute("insert into rejected_readings select uuid(), 0, uuid(), uuid(), uuid(), uuid(), now() from range(100000)")
    for file in disk.iterdir():
        file.unlink()
    import daycast.warehouse.publish.publication as module
    for check in (module.check_room, lambda *_: None):
        module.check_room = check
        try:
            publish(con, disk / "published.duckdb", 1)
        except StorageError as error:
            print(error)
        print([file.name for file in disk.iterdir()])
"""


def test_a_full_disk_is_told_and_a_publication_that_fails_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    script = f'mount -t tmpfs -o size=8m tmpfs {disk} && exec {sys.executable} -c "$CODE" {disk} {tmp_path}'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        env={**os.environ, "CODE": ON_A_SMALL_DISK},
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("no file system of one's own here")
    first, room, nothing, full, nothing_again = done.stdout.splitlines()
    assert "warehouse.duckdb cannot be written: No space left on device" in first, done.stderr
    assert "make room" in first
    assert room.startswith("publishing needs about ")
    assert f" in {disk}, and " in room
    assert f"{disk}/published.duckdb cannot be written: No space left on device" in full
    assert nothing == nothing_again == "[]"


def test_there_is_no_publication_where_it_would_not_fit(path: Path, tmp_path: Path, monkeypatch) -> None:
    published = tmp_path / "published.duckdb"
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        publish(con, published)
        before = published.read_bytes()
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_200_000))
        monkeypatch.setattr(Path, "stat", _of_size(Path.stat, published, 3_400_000_000))
        with pytest.raises(
            StorageError, match=rf"publishing needs about 3.4 GB in {tmp_path}, and 1.2 MB are free: make room first"
        ):
            publish(con, published)
        monkeypatch.undo()
    assert published.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"warehouse.duckdb", "published.duckdb"}


def _of_size(stat: Callable, of: Path, size: int) -> Callable:
    def told(self: Path, **options: bool) -> os.stat_result:
        found = stat(self, **options)
        return os.stat_result((*found[:6], size, *found[7:])) if self == of else found

    return told
