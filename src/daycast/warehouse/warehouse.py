"""Opening the warehouse: one process at a time, briefly, at the newest schema, in UTC."""

import errno
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import duckdb
import polars as pl

from daycast.errors import WarehouseError, raise_interrupt
from daycast.files import atomic_write, check_room, errno_of, explain, explained
from daycast.variables import Variable
from daycast.warehouse.lake import Lake, open_lake
from daycast.warehouse.migrations import add_variable_columns, is_current, migrate, renew_views
from daycast.warehouse.statements import quoted, statement

# What DuckDB says where a database cannot be opened, read or written, in one line that tells the cases apart.
#
# Its messages are matched by their whole phrases: "lock" is in "block", too.


_HELD = "IO Error: Could not set lock on file "
_HOLDER = re.compile(r"Conflicting lock is held in .*?\((PID \d+)\)")
_VERSION = re.compile(
    r"database file with version number (\d+), but we can only read versions? between (\d+) and (\d+)"
)
_DAMAGED = re.compile(
    r"exists, but it is not a valid DuckDB database file!"
    r"|^IO Error: Corrupt database file: "
    r'|^IO Error: Could not read enough bytes from file "'
    r'|^IO Error: Failure while replaying WAL file "'
)
_RESTORE = (
    "restore a backup of it; without one move it aside, keep a copy of the published file, which has the forecasts and scores "
    "so far, and run `daycast ingest --since T`: it takes in again what the sources still have"
)


def is_held(error: duckdb.Error) -> bool:
    """Whether another process has the database open."""
    return str(error).startswith(_HELD) and errno_of(error) not in {errno.ENOLCK, errno.EOPNOTSUPP}


def holder(error: duckdb.Error) -> str:
    """Which process holds it, in brackets; nothing where that is not known."""
    match = _HOLDER.search(str(error))
    return f" ({match[1]})" if match else ""


def is_damaged(error: duckdb.Error) -> bool:
    """Whether a database file, or its log, is not what DuckDB wrote."""
    return bool(_DAMAGED.search(str(error)))


@contextmanager
def failures_explained(where: Path | Lake, restore: str = _RESTORE) -> Iterator[None]:
    """Within the block, what goes wrong with the database at `where` and not with a statement is a WarehouseError.

    restore: what to do where the file is damaged.
    """
    try:
        yield
    except duckdb.Error as error:
        if (told := _tell(error, where, restore)) is None:
            raise
        raise WarehouseError(told) from error


def _tell(error: duckdb.Error, where: Path | Lake, restore: str) -> str | None:
    place = Path(where.data) if isinstance(where, Lake) else where
    if told := explain(error, place):
        return told
    if match := _VERSION.search(str(error)):
        return _tell_version(where, *(int(number) for number in match.groups()))
    if is_damaged(error):
        return f"{where} is damaged ({_one_line(error)}): {restore}"
    if isinstance(error, duckdb.CatalogException):
        return f"{where} was altered by hand ({_one_line(error)}): restore a backup of it"
    if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException):
        return f"{where} cannot be used: {_one_line(error)}"
    return None


def _tell_version(where: Path | Lake, found: int, oldest: int, newest: int) -> str:
    reads = f"storage version {found}, and DuckDB {duckdb.__version__} reads {oldest} to {newest}"
    if found > newest:
        return f"{where} was made by a newer DuckDB ({reads}): install that one, or the daycast that made it"
    return f"{where} was made by an older DuckDB ({reads}): export it with that one"


def _one_line(error: duckdb.Error) -> str:
    """What DuckDB says, without its kind of error and its pictures."""
    return " ".join(str(error).partition("\n")[0].split()).partition(" Error: ")[2]


# nothing is fetched behind the user's back
SETTINGS: dict[str, str | bool | int | float | list[str]] = {"autoinstall_known_extensions": False}

_turn: ContextVar[Callable[[], AbstractContextManager[None]]] = ContextVar("turn", default=nullcontext)


@contextmanager
def taking_turns(turn: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """In this block each opening of the warehouse is a turn of its own, entered before and left after it."""
    token = _turn.set(turn)
    try:
        yield
    finally:
        _turn.reset(token)


class Warehouse:
    """The tables in a file or on a lake, each variable with its columns. `read` and `write` are the only ways in.

    Either creates the database if it is absent and migrates it. One process is inside at a time: while another is, the next
    one waits, up to `wait_s` seconds. Under a worker the slot of the server is taken first (`taking_turns`). Both raise
    WarehouseError, also later in the block: held, damaged, made by a newer DuckDB, not permitted or without room, each with its
    way out. `now` dates migrations.
    """

    def __init__(self, where: Path | Lake, variables: Iterable[Variable]) -> None:
        self.where = where
        self.variables = tuple(variables)

    @contextmanager
    def read(self, now: datetime, wait_s: float = 120.0) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that cannot write; all its queries see the same state."""
        with self.write(now, wait_s) as con:
            con.execute("begin transaction read only")
            try:
                yield con
            finally:
                with suppress(duckdb.Error):  # after an error there may be no transaction any more
                    con.execute("rollback")

    @contextmanager
    def write(self, now: datetime, wait_s: float = 120.0) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that reads and writes; what belongs together is one `transaction`."""
        with _turn.get()(), failures_explained(self.where), self._open(now, wait_s) as con:
            try:
                if not is_current(con, self.variables):
                    _complete(con, self.variables, now)
                yield con
            except RuntimeError as error:
                raise_interrupt(error)
                raise

    def _open(self, now: datetime, wait_s: float) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        if isinstance(self.where, Lake):
            return open_lake(self.where, SETTINGS, wait_s)
        return _open_file(self.where, self.variables, now, wait_s)


@contextmanager
def _open_file(
    path: Path, variables: Iterable[Variable], now: datetime, wait_s: float
) -> Iterator[duckdb.DuckDBPyConnection]:
    with explained(path, WarehouseError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
    con = _connect(path, wait_s)
    try:
        if not is_current(con, variables):
            _bring_up_to_date(con, path, variables, now)
            con.close()
            con = _connect(path, wait_s)
        con.execute("set TimeZone = 'UTC'")
        yield con
    finally:
        con.close()


def _complete(con: duckdb.DuckDBPyConnection, variables: Iterable[Variable], now: datetime) -> None:
    """Do what is left to do, in steps that are there whole or not at all; without the last of them nothing is current."""
    migrate(con, now)
    add_variable_columns(con, variables)
    renew_views(con)


def _create(path: Path) -> None:
    """Have an empty database appear at once, where nobody else made one meanwhile.

    DuckDB writes a new file piece by piece, and one whose maker was killed in between is no database to anybody.
    """
    with atomic_write(path, exclusive=True) as draft:
        duckdb.connect(draft, config=SETTINGS).close()


def _bring_up_to_date(con: duckdb.DuckDBPyConnection, path: Path, variables: Iterable[Variable], now: datetime) -> None:
    """Change the schema in a copy, and put that in the place of the file that `con` holds.

    So the change is there whole or not at all. In place it would not be: a process killed between a commit that alters tables
    and its checkpoint leaves a log that DuckDB 1.5 cannot always replay ("GetDefaultDatabase with no default database set"),
    and with it a warehouse that cannot be opened. `con` keeps every other process out until the new file is there.
    """
    con.execute("checkpoint")
    path.with_suffix(".new").unlink(missing_ok=True)  # what a killed process of an earlier version left
    check_room(path.parent, path.stat().st_size, "changing the warehouse's schema in a copy of it")
    with atomic_write(path) as draft:
        shutil.copyfile(path, draft)
        with duckdb.connect(draft, config=SETTINGS) as copy:
            copy.execute("set TimeZone = 'UTC'")
            _complete(copy, variables, now)
            copy.execute("checkpoint")


def _connect(path: Path, wait_s: float) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return duckdb.connect(path, config=SETTINGS)
        except duckdb.IOException as error:
            if not is_held(error):
                raise
            if time.monotonic() > deadline:
                raise WarehouseError(
                    f"{path} is held by another process{holder(error)} after {wait_s:.0f} s of waiting: close it, "
                    "or read the published file"
                ) from error
            time.sleep(0.1)


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of the block, or nothing of it."""
    con.execute("begin")
    try:
        yield
    except BaseException:
        with suppress(
            duckdb.Error
        ):  # where the disk failed there may be no transaction any more; that failure is the one to tell
            con.execute("rollback")
        raise
    con.execute("commit")


@contextmanager
def frames(con: duckdb.DuckDBPyConnection, **named: pl.DataFrame) -> Iterator[None]:
    """Polars frames under names that SQL can use, for the length of the block."""
    for name, frame in named.items():
        con.register(name, frame)
    try:
        yield
    finally:
        for name in named:
            con.unregister(name)


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> None:
    """Add rows to a table, each column under its name."""
    with frames(con, inserted=rows):
        con.execute(f"insert into {quoted(table)} by name select * from inserted")


def read_frame(con: duckdb.DuckDBPyConnection, name: str, **parameters: Any) -> pl.DataFrame:
    """The result of the statement NAME of sql/queries.

    Not by `con.sql(query, params=…)`: in DuckDB 1.5 that takes thirty times as long, because it goes through Python's rows.
    """
    return cast(pl.DataFrame, pl.from_arrow(con.execute(statement(name), parameters or None).to_arrow_table()))
