"""The warehouse on DuckLake, for more than one machine: the catalogue in PostgreSQL, the rows as Parquet files.

The lake is attached under the same name as a warehouse file, so the same statements run on both. Only one writer is inside at a
time: each holds an advisory lock of PostgreSQL, which ends with its process. Readers never wait.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import duckdb

from daycast.duckdb_extensions import load_extension
from daycast.errors import WarehouseError
from daycast.warehouse.object_storage import is_on_object_storage, object_storage
from daycast.warehouse.statements import literal

_EXTENSIONS = ("ducklake", "postgres_scanner")
_LOCK = "hashtext('daycast: who writes')"


@dataclass(frozen=True)
class Lake:
    """Where a lake is: the address of its catalogue (without a password) and the place of its Parquet files."""

    catalogue: str  # postgresql://user@host:port/database; libpq takes the password from PGPASSWORD or PGPASSFILE
    data: str  # a folder, or s3://bucket/prefix
    environment: Mapping[str, str] = field(
        default_factory=dict, repr=False, compare=False
    )  # AWS_… variables: the credentials of the bucket

    def __str__(self) -> str:
        return f"the lake {self.catalogue}"


@contextmanager
def open_lake(
    lake: Lake, settings: dict[str, str | bool | int | float | list[str]], wait_s: float
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose current database is the lake, in UTC, holding the write lock. Creates the lake if it is absent.

    settings: DuckDB's. Waits up to `wait_s` seconds for another writer. Raises WarehouseError if an extension is missing, the
    server does not answer or the lock stays taken; ConfigError if the rows are in a bucket and credentials are missing.
    WarehouseError can also come later in the block, when the bucket refuses.
    """
    with (
        tempfile.TemporaryDirectory(prefix="daycast-") as spill,
        duckdb.connect(":memory:", config={**settings, "temp_directory": spill}) as con,
    ):
        con.execute("set TimeZone = 'UTC'")
        for name in _EXTENSIONS:
            _load(con, name)
        _attach(con, lake, f"{literal(lake.catalogue)} as catalogue (type postgres, schema 'none')")
        with _rows(con, lake), _write_lock(con, lake, wait_s):
            data = f"data_path {literal(lake.data)}"
            _attach(con, lake, f"{literal('ducklake:postgres:' + lake.catalogue)} as warehouse ({data})")
            con.execute("use warehouse")
            yield con


def is_lake(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the current database is a lake, not a file."""
    kinds = con.execute("select type from duckdb_databases() where database_name = current_database()").fetchall()
    return kinds == [("ducklake",)]


def _load(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load a DuckDB extension, never from the network. Raises WarehouseError if it is not installed."""
    try:
        load_extension(con, name)
    except duckdb.Error:
        raise WarehouseError(
            f"warehouse.lake needs DuckDB's extension {name} for version {duckdb.__version__}: pip install 'daycast[lake]'"
        ) from None


def _rows(con: duckdb.DuckDBPyConnection, lake: Lake) -> AbstractContextManager[None]:
    """Access to the lake's Parquet files for the length of the block; a folder needs nothing."""
    if not is_on_object_storage(lake.data):
        return nullcontext()
    _load(con, "httpfs")
    return object_storage(con, lake.data, lake.environment)


def _attach(con: duckdb.DuckDBPyConnection, lake: Lake, what: str) -> None:
    try:
        con.execute(f"attach {what}")
    except duckdb.Error as error:
        raise WarehouseError(f"{lake} cannot be opened: {' '.join(str(error).split())}").passing() from None


@contextmanager
def _write_lock(con: duckdb.DuckDBPyConnection, lake: Lake, wait_s: float) -> Iterator[None]:
    """Hold the write lock for the length of the block, on a connection to PostgreSQL that does nothing else."""
    timeout = f"set_config('lock_timeout', '{max(1, round(wait_s * 1000))}', true)"
    lock = f"select {timeout}, pg_advisory_xact_lock({_LOCK})::text"
    with con.cursor() as holder:
        holder.execute("begin")
        try:
            holder.execute(f"from postgres_query('catalogue', {literal(lock)})").fetchall()
        except duckdb.Error as error:
            if "lock timeout" not in str(error):
                raise WarehouseError(f"{lake} cannot be locked: {' '.join(str(error).split())}").passing() from None
            raise WarehouseError(
                f"{lake} is held by another writer after {wait_s:.0f} s of waiting: see pg_locks for which"
            ) from None
        yield
