"""What befalls commands: each fault changes the circumstances of one command, and is undone after it or mended later."""

import random
import shutil
import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import duckdb

from soak.faulty_process import TrainContext
from soak.logbook import CONFIG, Logbook

Undo = Callable[[], None]
TEN_YEARS = timedelta(days=3650)
_SAID = 100_000  # bytes that stdout and stderr may take, which are files here


@dataclass
class Fate:
    """The circumstances of one command while faults gather, and how to undo them."""

    book: Logbook
    rng: random.Random
    around: TrainContext
    undo: list[Undo]

    @property
    def data(self) -> Path:
        """The folder of all state."""
        return self.book.folder / "data"

    def change(self, **changed: object) -> None:
        """Change the circumstances."""
        self.around = replace(self.around, **changed)

    def set(self, **environment: str) -> None:
        """Set variables of the environment."""
        self.change(environment={**self.around.environment, **environment})


Fault = Callable[[Fate], None]


def _config(spoil: Callable[[bytes], bytes]) -> Fault:
    def fault(fate: Fate) -> None:
        path = fate.book.folder / "daycast.toml"
        path.write_bytes(spoil(CONFIG.encode()))
        fate.undo.append(lambda: path.write_text(CONFIG))

    return fault


def _environment(**values: str) -> Fault:
    return lambda fate: fate.set(**values)


def _put_back(book: Logbook) -> None:
    """What another warehouse took in lies in the inbox again, as whoever puts back a warehouse is told to see to."""
    for path in book.moved():
        book.write(path, book.files[path].rows)


def _elsewhere(data: str) -> Fault:
    """Another folder for all state."""

    def fault(fate: Fate) -> None:
        fate.set(DAYCAST_DATA=data)
        fate.undo.append(lambda: _put_back(fate.book))

    return fault


def _clock(jump: timedelta) -> Fault:
    return lambda fate: fate.change(clock=fate.around.clock + jump)


def _signalled(number: int) -> Fault:
    return lambda fate: fate.change(signal=number, signal_after_s=fate.rng.choice([0.3, 1, 2, 4]) * fate.rng.random())


def _stdout(kind: str) -> Fault:
    return lambda fate: fate.change(stdout=kind)


def fill_disk(fate: Fate) -> None:
    """No file can grow beyond a size, most often that of the largest there is."""
    sizes = [path.stat().st_size for path in fate.data.rglob("*") if path.is_file()]
    most = fate.rng.choice([_SAID, fate.rng.randrange(_SAID, 5_000_000), *([max(sizes)] * 3 if sizes else [])])
    fate.change(largest_file=max(most, _SAID))


def _without_right(name: str, mode: int) -> Fault:
    def fault(fate: Fate) -> None:
        path = fate.data / name
        if path.exists():
            before = path.stat().st_mode
            path.chmod(mode)
            fate.undo.append(lambda: path.chmod(before))

    return fault


@contextmanager
def _aside(path: Path):
    beside = path.with_name(f"{path.name}.aside")
    there = path.exists()
    if there:
        path.rename(beside)
    yield
    if there:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        beside.rename(path)


def _in_its_place(name: str, make: Callable[[Path, Path], None]) -> Fault:
    """Something else stands in the place of a file or folder for one command; `make` is told of both."""

    def fault(fate: Fate) -> None:
        path = fate.book.folder / name
        if not path.exists():
            return
        aside = _aside(path)
        aside.__enter__()
        make(path, path.with_name(f"{path.name}.aside"))
        wal = path.with_name(f"{path.name}.wal")
        log = wal.read_bytes() if wal.exists() else None

        def undo() -> None:
            aside.__exit__(None, None, None)
            wal.unlink(missing_ok=True)
            if log is not None:
                wal.write_bytes(log)
            _put_back(fate.book)

        fate.undo.append(undo)

    return fault


def _damage(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    kind = rng.randrange(4)
    if kind == 0:
        content = content[: len(content) // 2]
    elif kind == 1:
        content = bytearray(b"no such thing\n")
    elif kind == 2 and content:
        start = rng.randrange(len(content))
        content[start : start + 64] = bytes(byte ^ 0xFF for byte in content[start : start + 64])
    else:
        content = bytearray()
    path.unlink()
    path.write_bytes(content)


def damage_published(fate: Fate) -> None:
    """The published file is damaged or gone until the next publication, which makes it anew."""
    path = fate.data / "published.duckdb"
    if path.exists():
        path.unlink() if fate.rng.random() < 0.2 else _damage(path, fate.rng)


def damage_history(fate: Fate) -> None:
    """A file of the published history is damaged; a copy is put back some commands later."""
    _damage_one(fate, sorted((fate.data / "published").rglob("*.parquet")))


def damage_checkpoint(fate: Fate) -> None:
    """A checkpoint is damaged; a copy is put back some commands later."""
    _damage_one(fate, sorted((fate.data / "checkpoints").glob("*.safetensors")))


def _damage_one(fate: Fate, paths: list[Path]) -> None:
    if not paths:
        return
    path = fate.rng.choice(paths)
    if path in fate.book.damaged:  # what was put back later would be the damaged one
        return
    content = path.read_bytes()
    _damage(path, fate.rng)
    fate.book.damaged.add(path)

    def mend() -> None:
        fate.book.damaged.discard(path)
        if path.exists():  # else it was removed, as is right where nobody needs it
            path.write_bytes(content)

    fate.book.repairs.append((fate.rng.randint(1, 3), mend))


def _newer(path: Path, original: Path) -> None:
    shutil.copyfile(original, path)
    with duckdb.connect(path) as con:
        columns = [name for (name, *_) in con.execute("describe migrations").fetchall()]
        row = list(con.execute("select * from migrations order by all desc limit 1").fetchone())
        row[0] = 9999 if isinstance(row[0], int) else "9999_later"
        con.execute(f"insert into migrations ({', '.join(columns)}) values ({', '.join('?' * len(columns))})", row)


def _half(path: Path, original: Path) -> None:
    path.write_bytes(original.read_bytes()[: original.stat().st_size // 2])


FAULTS: dict[str, Fault] = {
    "config: syntax": _config(lambda text: text.replace(b"[[sources]]", b"[[sources", 1)),
    "config: unknown key": _config(lambda text: text.replace(b"hidden_size = 4", b"hiden = 4")),
    "config: wrong value": _config(lambda text: text.replace(b'cell = "gru"', b'cell = "gro"')),
    "config: wrong kind of value": _config(lambda text: text.replace(b"hidden_size = 4", b'hidden_size = "four"')),
    "config: nonsense in numbers": _config(lambda text: text.replace(b"batch_size = 16", b"batch_size = -3")),
    "config: BOM": _config(lambda text: b"\xef\xbb\xbf" + text),
    "config: no UTF-8": _config(lambda text: text.replace(b"plant.duckdb", b"pl\xe4nt.duckdb")),
    "environment: no list": _environment(DAYCAST_SOURCES="[1,2"),
    "environment: empty data": _elsewhere(""),
    "environment: data is a file": _elsewhere("daycast.toml"),
    "environment: a question mark": _elsewhere("da?ta"),
    "environment: no setting": _environment(DAYCAST_MODLE__CELL="gru"),
    "disk full": fill_disk,
    "stdout full": _stdout("full"),
    "stdout closed": _stdout("closed"),
    "read-only: data": _without_right(".", 0o555),
    "read-only: snapshots": _without_right("snapshots", 0o555),
    "read-only: checkpoints": _without_right("checkpoints", 0o555),
    "read-only: warehouse": _without_right("warehouse.duckdb", 0o444),
    "forbidden: warehouse": _without_right("warehouse.duckdb", 0),
    "forbidden: published": _without_right("published.duckdb", 0),
    "SIGKILL": _signalled(signal.SIGKILL),
    "SIGTERM": _signalled(signal.SIGTERM),
    "SIGINT": _signalled(signal.SIGINT),
    "clock: ten years ahead": _clock(TEN_YEARS),
    "clock: ten years behind": _clock(-TEN_YEARS),
    "clock: two hours behind": _clock(timedelta(hours=-2)),
    "warehouse: half a file": _in_its_place("data/warehouse.duckdb", _half),
    "warehouse: another file": _in_its_place("data/warehouse.duckdb", lambda path, _: path.write_bytes(b"lock\n" * 99)),
    "warehouse: a folder": _in_its_place("data/warehouse.duckdb", lambda path, _: path.mkdir()),
    "warehouse: of a newer daycast": _in_its_place("data/warehouse.duckdb", _newer),
    "source database damaged": _in_its_place("plant.duckdb", _half),
    "source database missing": _in_its_place("plant.duckdb", lambda *_: None),
    "published damaged": damage_published,
    "history damaged": damage_history,
    "checkpoint damaged": damage_checkpoint,
}
OFTEN = {"disk full": 5, "SIGKILL": 5, "SIGTERM": 3, "SIGINT": 3, "published damaged": 2, "checkpoint damaged": 2}


def choose_faults(rng: random.Random) -> list[str]:
    """The faults of one command; none for half of them."""
    names = list(FAULTS)
    count = rng.choices([0, 1, 2], [50, 45, 5])[0]
    return list(dict.fromkeys(rng.choices(names, [OFTEN.get(name, 1) for name in names], k=count)))
