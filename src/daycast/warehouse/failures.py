"""What DuckDB says where a database cannot be opened, read or written, in one line that tells the cases apart.

Its messages are matched by their whole phrases: "lock" is in "block", too.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from daycast.errors import WarehouseError
from daycast.storage import errno_of, explain
from daycast.warehouse.lake import Lake

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
