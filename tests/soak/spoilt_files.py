"""What happens to files: corrections, duplicates, bad cells, and damage that is repaired some commands later."""

import gzip
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from soak.logbook import HEADER, Logbook, Row

Spoil = Callable[[Logbook, random.Random], None]
BAD_ROWS: dict[str, dict[str, str]] = {
    "a word for a number": {"temp": "broken"},
    "no time": {"time": ""},
    "a word for a time": {"time": "yesterday"},
    "the year 1": {"time": "0001-01-01T00:00"},
    "the year 1 in a zone": {"time": "0001-01-01T00:00:00+14:00"},
    "the year -1": {"time": "-0001-12-31T00:00"},
    "no station": {"station": ""},
    "fields beyond the header": {"beyond": ",7,8"},
}


def _choose(book: Logbook, rng: random.Random) -> tuple:
    days = book.days()
    if not days:
        return None, ()
    path = rng.choice(days[-6:])
    return path, book.files[path].rows


def correct(book: Logbook, rng: random.Random) -> None:
    """A value is another one now."""
    path, rows = _choose(book, rng)
    good = [row for row in rows if row.must == "be kept"]
    if good:
        old = rng.choice(good)
        new = replace(old, temp=f"{float(old.temp) + rng.choice([-2.1, 0.4, 1.7]):.1f}")
        book.write(path, [new if row == old else row for row in rows])


def double_rows(book: Logbook, rng: random.Random) -> None:
    """Some lines stand twice."""
    path, rows = _choose(book, rng)
    if rows:
        book.write(path, [*rows, *rng.sample(rows, min(3, len(rows)))])


def copy(book: Logbook, rng: random.Random) -> None:
    """The same file under another name."""
    path, rows = _choose(book, rng)
    if path:
        book.count += 1
        book.write(path.with_name(f"copy-{book.count}.csv"), rows)


def compress(book: Logbook, rng: random.Random) -> None:
    """The same file, packed."""
    path, rows = _choose(book, rng)
    if path and path.suffix == ".csv" and not path.name.startswith(f"{book.now:%Y-%m-%d}"):
        book.remove(path)
        book.write(path.with_name(f"{path.name}.gz"), rows)


def drop_rows(book: Logbook, rng: random.Random) -> None:
    """The file is replaced by one that has less."""
    path, rows = _choose(book, rng)
    if len(rows) > 2:
        book.write(path, rng.sample(rows, len(rows) // 2))


def remove(book: Logbook, rng: random.Random) -> None:
    """The file is taken away."""
    path, _ = _choose(book, rng)
    if path:
        book.remove(path)


def add_bad_row(book: Logbook, rng: random.Random, kinds: Sequence[str] = tuple(BAD_ROWS)) -> None:
    """A row in which something cannot be read."""
    path, rows = _choose(book, rng)
    if len(rows) >= 5:
        bad = replace(rng.choice(rows), **BAD_ROWS[rng.choice(kinds)], must="be refused")
        if sum(row.must == "be refused" for row in rows) < len(rows) // 8:
            book.write(path, [*rows, bad])


def add_foreign_byte(book: Logbook, rng: random.Random) -> None:
    """A byte that is no UTF-8, in a column that nobody asked for."""
    path, rows = _choose(book, rng)
    if rows:
        old = rng.choice(rows)
        if old.must == "be kept":
            new = replace(old, note="caf\udce9", must="be either")
            book.write(path, [new if row is old else row for row in rows])


def spoil_most(book: Logbook, rng: random.Random) -> None:
    """A file of which most rows are bad: refused whole, until it is corrected."""
    path, rows = _choose(book, rng)
    if len(rows) >= 20 and all(row.must == "be kept" for row in rows):
        bad = [replace(row, temp="warm", must="be refused") if k % 3 else row for k, row in enumerate(rows)]
        book.write(path, bad, "refused")
        _repair_later(book, rng, path, rows)


def _unreadable(make: Callable[[bytes], bytes]) -> Spoil:
    def spoil(book: Logbook, rng: random.Random) -> None:
        path, rows = _choose(book, rng)
        if path and path.suffix == ".csv":
            book.write(path, rows, "unreadable", make(path.read_bytes()))
            _repair_later(book, rng, path, rows)

    return spoil


def cut_off(book: Logbook, rng: random.Random) -> None:
    """A file that is still being written: it ends in the middle of a line."""
    path, rows = _choose(book, rng)
    if path and path.suffix == ".csv":
        book.write(path, rows, "unfinished", path.read_bytes() + f"{book.now:%Y-%m-%d}".encode())
        _repair_later(book, rng, path, rows)


def forbid(book: Logbook, rng: random.Random) -> None:
    """A file that may not be read."""
    path, rows = _choose(book, rng)
    if path:
        book.write(path, rows, "unreadable", path.read_bytes() + b"\n")
        path.chmod(0)
        _repair_later(book, rng, path, rows)


def turn_into_folder(book: Logbook, rng: random.Random) -> None:
    """A folder with the name of a file."""
    path, rows = _choose(book, rng)
    if path:
        book.remove(path)
        path.mkdir()
        _repair_later(book, rng, path, rows)


def _repair_later(book: Logbook, rng: random.Random, path: os.PathLike, rows: tuple[Row, ...]) -> None:
    def repair() -> None:
        book.remove(path)
        book.write(path, rows)

    book.repairs.append((rng.randint(1, 4), repair))


CHANGES: dict[str, Spoil] = {
    "file corrected": correct,
    "file with doubled rows": double_rows,
    "file copied": copy,
    "file packed": compress,
    "file with less in it": drop_rows,
    "file removed": remove,
    "file with a bad row": add_bad_row,
    "file with a foreign byte": add_foreign_byte,
}
DAMAGES: dict[str, Spoil] = {  # each is repaired some commands later
    "file mostly bad": spoil_most,
    "file cut off": cut_off,
    "file forbidden": forbid,
    "file is a folder": turn_into_folder,
    "file empty": _unreadable(lambda _: b""),
    "file binary": _unreadable(lambda _: b"\x89PNG\r\n\x1a\n\x00\x00" * 40),
    "file packed and cut off": _unreadable(lambda content: gzip.compress(content)[:-9]),
    "file with another header": _unreadable(lambda content: content.replace(HEADER.encode(), b"time,station,t,w,note")),
    "file with an open quotation mark": _unreadable(lambda content: content.replace(b",Bern,", b',"Bern,', 1)),
}


def befall_files(book: Logbook, rng: random.Random) -> list[str]:
    """Let a few things happen to the files; returns their names."""
    changed = [name for name in CHANGES if rng.random() < 0.03]
    damaged = [name for name in DAMAGES if rng.random() < 0.012]
    for name in (*changed, *damaged):
        (CHANGES | DAMAGES)[name](book, rng)
    return [*changed, *damaged]
