"""Opening the warehouse: one process at a time, briefly, at the newest schema, in UTC."""

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

from daycast.atomic_write import atomic_write
from daycast.errors import WarehouseError, raise_interrupt
from daycast.storage import check_room, explained
from daycast.variables import Variable
from daycast.warehouse.failures import failures_explained, holder, is_held
from daycast.warehouse.lake import Lake, open_lake
from daycast.warehouse.migrate import add_variable_columns, is_current, migrate, renew_views
from daycast.warehouse.statements import statement

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


@contextmanager
def open_warehouse(
    where: Path | Lake,
    variables: Iterable[Variable],
    now: datetime,
    wait_s: float = 120.0,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse in a file or on a lake, created if absent, migrated, with a column for each of `variables`.

    One process is inside at a time: while another is, this waits, up to `wait_s` seconds. Raises WarehouseError, also later in
    the block: held, damaged, made by a newer DuckDB, not permitted or without room, each with its way out.
    """
    variables = list(variables)
    opened = (
        open_lake(where, SETTINGS, wait_s) if isinstance(where, Lake) else _open_file(where, variables, now, wait_s)
    )
    with _turn.get()(), failures_explained(where), opened as con:
        try:
            if not is_current(con, variables):
                _complete(con, variables, now)
            yield con
        except RuntimeError as error:
            raise_interrupt(error)
            raise


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


def read_frame(con: duckdb.DuckDBPyConnection, name: str, **parameters: Any) -> pl.DataFrame:
    """The result of sql/queries/NAME.sql.

    Not by `con.sql(query, params=…)`: in DuckDB 1.5 that takes thirty times as long, because it goes through Python's rows.
    """
    return cast(pl.DataFrame, pl.from_arrow(con.execute(statement(name), parameters or None).to_arrow_table()))
