"""Files that others read appear whole, and what dies in between leaves nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from daycast.atomic_write import atomic_write


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
    kill = "import os, signal, sys; from pathlib import Path; from daycast.atomic_write import atomic_write\n"
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


def _names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}
