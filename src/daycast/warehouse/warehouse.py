"""The warehouse: open it for one process at a time, at the newest schema, in UTC; and the tools every other module uses.

`Warehouse` comes first: `read` and `write` are the only ways in. Then opening, creating and migrating the file; then
`transaction`, `frames`, `insert` and `read_frame`; last, what DuckDB's errors mean and what to do about them.
"""

import errno
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import duckdb
import polars as pl

from daycast.duckdb_results import query_arrow
from daycast.errors import WarehouseError, raise_interrupt
from daycast.files import atomic_write, check_room, errno_of, explain, explained
from daycast.variables import Variable
from daycast.warehouse.lake import Lake, open_lake
from daycast.warehouse.migrations import add_variable_columns, is_current, migrate, renew_views
from daycast.warehouse.statements import quoted, statement

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,  # nothing is fetched behind the user's back
    "storage_compatibility_version": "v1.1.0",  # of files that are created: every DuckDB from 1.1 on reads them
}
_slot: ContextVar[Callable[[], AbstractContextManager[None]]] = ContextVar("slot", default=nullcontext)

# DuckDB's error messages, matched by whole phrases
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
    "so far, and run `daycast ingest --since T`: it loads again what the sources still have. Files that after.move_to has put "
    "away since the backup must be moved back to be loaded again"
)


class Warehouse:
    """The pipeline's database, in a file or on a lake, with columns for each of `variables`.

    `read` and `write` are the only ways in. Both create the database if it is absent, and migrate it; `now` dates the
    migrations. One process is inside at a time, and the next one waits for up to `wait_s` seconds. A flow takes the server's
    concurrency slot first (`holding_slot`). Both raise WarehouseError, also later in the block, if the database is held by
    another process, damaged, made by a newer DuckDB, not accessible or out of space. The message says what to do.
    """

    def __init__(self, where: Path | Lake, variables: Iterable[Variable]) -> None:
        self.where = where
        self.variables = tuple(variables)

    @contextmanager
    def read(self, now: datetime, wait_s: float = 120.0) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection; all its queries see the same state."""
        with self.write(now, wait_s) as con:
            con.execute("begin transaction read only")
            try:
                yield con
            finally:
                with suppress(duckdb.Error):  # after an error the transaction may be gone
                    con.execute("rollback")

    @contextmanager
    def write(self, now: datetime, wait_s: float = 120.0) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that reads and writes. Use `transaction` for changes that belong together."""
        with _slot.get()(), explain_failures(self.where), self._open(now, wait_s) as con:
            try:
                yield con
            except RuntimeError as error:
                raise_interrupt(error)
                raise

    def _open(self, now: datetime, wait_s: float) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        if isinstance(self.where, Lake):
            return _open_current_lake(self.where, self.variables, now, wait_s)
        return _open_file(self.where, self.variables, now, wait_s)


@contextmanager
def holding_slot(slot: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Within this block, each opening of a warehouse first enters `slot()`, and leaves it after closing."""
    token = _slot.set(slot)
    try:
        yield
    finally:
        _slot.reset(token)


@contextmanager
def _open_current_lake(
    lake: Lake, variables: Iterable[Variable], now: datetime, wait_s: float
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the lake, brought to the newest schema."""
    with open_lake(lake, SETTINGS, wait_s) as con:
        if not is_current(con, variables):
            _complete_schema(con, variables, now)
        yield con


@contextmanager
def _open_file(
    path: Path, variables: Iterable[Variable], now: datetime, wait_s: float
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the file, created if it is absent and brought to the newest schema."""
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


def _complete_schema(con: duckdb.DuckDBPyConnection, variables: Iterable[Variable], now: datetime) -> None:
    """Bring the schema up to date. Each step is atomic, and `is_current` stays false until the last one is done."""
    migrate(con, now)
    add_variable_columns(con, variables)
    renew_views(con)


def _create(path: Path) -> None:
    """Create an empty database file atomically, unless another process has created it meanwhile.

    DuckDB writes a new file in several steps. If it is killed in between, nobody can open the file.
    """
    with atomic_write(path, exclusive=True) as draft:
        duckdb.connect(draft, config=SETTINGS).close()


def _bring_up_to_date(con: duckdb.DuckDBPyConnection, path: Path, variables: Iterable[Variable], now: datetime) -> None:
    """Change the schema in a copy of the file that `con` has open, then replace the file by it.

    This makes the change atomic. Changed in place, it would not be: if a process is killed between a commit that alters tables
    and its checkpoint, it leaves a log that DuckDB 1.5 cannot always replay ("GetDefaultDatabase with no default database set"),
    and the warehouse cannot be opened. `con` keeps every other process out until the new file is in place.
    """
    con.execute("checkpoint")
    path.with_suffix(".new").unlink(missing_ok=True)  # left behind by a killed process of an earlier version
    check_room(path.parent, path.stat().st_size, "changing the warehouse's schema in a copy of it")
    with atomic_write(path) as draft:
        shutil.copyfile(path, draft)
        with duckdb.connect(draft, config=SETTINGS) as copy:
            copy.execute("set TimeZone = 'UTC'")
            _complete_schema(copy, variables, now)
            copy.execute("checkpoint")


def _connect(path: Path, wait_s: float) -> duckdb.DuckDBPyConnection:
    """Open the file, trying again for up to `wait_s` seconds while another process has it open."""
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
    """Commit the block as one transaction, or roll it back if it raises."""
    con.execute("begin")
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # after a disk error the transaction may be gone; report the disk error instead
            con.execute("rollback")
        raise
    con.execute("commit")


@contextmanager
def frames(con: duckdb.DuckDBPyConnection, **named: pl.DataFrame) -> Iterator[None]:
    """Let SQL read polars frames under these names, for the length of the block."""
    for name, frame in named.items():
        con.register(name, frame)
    try:
        yield
    finally:
        for name in named:
            con.unregister(name)


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> None:
    """Append rows to a table, matching columns by name."""
    with frames(con, inserted=rows):
        con.execute(f"insert into {quoted(table)} by name select * from inserted")


def read_frame(con: duckdb.DuckDBPyConnection, name: str, **parameters: Any) -> pl.DataFrame:
    """The result of the statement `name` of sql/queries, with `parameters` for its $parameters."""
    return fetch_frame(con, statement(name), parameters)


def fetch_frame(
    con: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, Any] | None = None
) -> pl.DataFrame:
    """The result of a query, through Arrow."""
    return cast(pl.DataFrame, pl.from_arrow(query_arrow(con, query, parameters).to_arrow_table()))


@contextmanager
def explain_failures(where: Path | Lake, restore: str = _RESTORE) -> Iterator[None]:
    """Turn DuckDB's errors about the database at `where` into WarehouseError with a way out; errors of statements pass.

    restore: what to do if the file is damaged.
    """
    try:
        yield
    except duckdb.Error as error:
        if (message := _describe(error, where, restore)) is None:
            raise
        raise WarehouseError(message) from error


def _describe(error: duckdb.Error, where: Path | Lake, restore: str) -> str | None:
    """What is wrong with the database, in one line; None if the error is about a statement."""
    place = Path(where.data) if isinstance(where, Lake) else where
    if message := explain(error, place):
        return message
    if match := _VERSION.search(str(error)):
        return _describe_version(where, *(int(number) for number in match.groups()))
    if is_damaged(error):
        return f"{where} is damaged ({_one_line(error)}): {restore}"
    if isinstance(error, duckdb.CatalogException):
        return f"{where} was altered by hand ({_one_line(error)}): restore a backup of it"
    if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException):
        return f"{where} cannot be used: {_one_line(error)}"
    return None


def _describe_version(where: Path | Lake, found: int, oldest: int, newest: int) -> str:
    reads = f"storage version {found}, and DuckDB {duckdb.__version__} reads {oldest} to {newest}"
    if found > newest:
        return f"{where} was made by a newer DuckDB ({reads}): install that one, or the daycast that made it"
    return f"{where} was made by an older DuckDB ({reads}): export it with that one"


def _one_line(error: duckdb.Error) -> str:
    """DuckDB's message without the kind of error and the lines that point into the query."""
    return " ".join(str(error).partition("\n")[0].split()).partition(" Error: ")[2]


def is_held(error: duckdb.Error) -> bool:
    """Whether another process has the database open."""
    return str(error).startswith(_HELD) and errno_of(error) not in {errno.ENOLCK, errno.EOPNOTSUPP}


def holder(error: duckdb.Error) -> str:
    """Which process has the database open, in brackets; empty if unknown."""
    match = _HOLDER.search(str(error))
    return f" ({match[1]})" if match else ""


def is_damaged(error: duckdb.Error) -> bool:
    """Whether a database file or its write-ahead log is damaged."""
    return bool(_DAMAGED.search(str(error)))
