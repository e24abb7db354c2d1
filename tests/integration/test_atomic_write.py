"""Files that others read appear whole, and what dies in between leaves nothing."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from daycast.errors import StorageError
from daycast.files import atomic_write


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "published.duckdb"
    path.write_text("old")
    with atomic_write(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert _names(tmp_path) == {"published.duckdb"}


def test_a_block_that_raises_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def fill_the_disk() -> None:
        with atomic_write(path) as draft:
            draft.write_text("half")
            draft.with_name(f"{draft.name}.wal").write_text("log")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill_the_disk()
    assert path.read_text() == "old"
    assert _names(tmp_path) == {"report.html"}


def test_two_writers_at_once_have_drafts_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_write(path) as first:
        first.write_text("first")
        with atomic_write(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"


def test_the_next_writer_removes_what_a_killed_one_left_but_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a[1].bin"
    kill = "import os, signal, sys; from pathlib import Path; from daycast.files import atomic_write\n"
    kill += "with atomic_write(Path(sys.argv[1])) as draft:\n"
    kill += "    draft.write_text('half'); Path(f'{draft}.wal').write_text('log'); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", kill, str(path)], check=False)
    neighbours = {".a[1].bin.draft", ".a[1].bin.notes.1.draft", ".b.bin.host.1.00000000.draft"}
    for name in neighbours:
        (tmp_path / name).touch()
    assert len(_names(tmp_path)) == len(neighbours) + 2
    with atomic_write(path) as draft:
        draft.write_text("whole")
    assert _names(tmp_path) == {*neighbours, path.name}


def test_a_writer_removes_what_was_left_beside_also_of_other_files_and_of_a_process_with_its_own_number(
    tmp_path: Path,
) -> None:
    with atomic_write(tmp_path / "one") as kept:
        kept.touch()
        left = kept.name.replace(".one.", ".other.")[: -len("00000000.draft")] + "00000000.draft"
        (tmp_path / left).write_text("by a container that was killed and started again")
        with atomic_write(tmp_path / "two") as draft:
            assert _names(tmp_path) == {kept.name}
            draft.touch()
    assert _names(tmp_path) == {"one", "two"}


def test_what_nobody_wrote_to_for_a_day_is_left_behind_whoever_has_its_number(tmp_path: Path) -> None:
    old, young = (tmp_path / f".file.another-host.1.0000000{n}.draft" for n in range(2))
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    with atomic_write(tmp_path / "file") as draft:
        draft.touch()
    assert _names(tmp_path) == {"file", young.name}


def test_a_folder_in_the_place_of_the_file_is_told_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()

    def write() -> None:
        with atomic_write(tmp_path / "report.html") as draft:
            draft.touch()

    with pytest.raises(StorageError, match=r"report\.html is a folder where a file should be: move it away"):
        write()
    assert _names(tmp_path) == {"report.html"}


def test_of_two_exclusive_writers_the_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with atomic_write(path, exclusive=True) as later:
        later.write_text("later")
        with atomic_write(path, exclusive=True) as earlier:
            earlier.write_text("earlier")
    assert path.read_text() == "earlier"
    assert _names(tmp_path) == {path.name}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "cannot be written: No space left on device; without it .* are free in",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "cannot be written: Disk quota exceeded; .*: make room"),
        (OSError(errno.EROFS, "Read-only file system"), "lies on a read-only file system: mount it writable"),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "cannot be used by user .*: permission denied; chmod or chown it",
        ),
        (
            ValueError("underlying IO error: No space left on device (os error 28)"),
            "cannot be written: No space left",
        ),  # polars
    ],
)
def test_what_the_operating_system_refuses_is_one_line_with_the_way_out(
    error: Exception, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"

    def refuse() -> None:
        with atomic_write(path) as draft:
            draft.write_text("half")
            raise error

    with pytest.raises(StorageError, match=told) as caught:
        refuse()
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert _names(tmp_path) == set()


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with (
        pytest.raises(StorageError, match=f"{tmp_path}/data is a file where a folder should be: move it away"),
        atomic_write(tmp_path / "data" / "models" / "a.safetensors"),
    ):
        pass


def _names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}
