"""The lake: the warehouse's tables on DuckLake, the catalogue in PostgreSQL and the rows as Parquet, for more than one machine.

It is attached under the name that a warehouse file has, so that the same statements run on both. Writers take turns, as on the
file: each holds a lock of PostgreSQL's while it is inside, which ends with its process. Readers never wait.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import duckdb

from daycast.errors import WarehouseError
from daycast.warehouse.object_storage import is_on_object_storage, object_storage
from daycast.warehouse.statements import literal

_EXTENSIONS = ("ducklake", "postgres_scanner")
_LOCK = "hashtext('daycast: who writes')"


@dataclass(frozen=True)
class Lake:
    """Where a lake is: the address of its catalogue, which holds no password, and where its Parquet files are."""

    catalogue: str  # postgresql://user@host:port/database; libpq takes the password from PGPASSWORD or PGPASSFILE
    data: str  # a folder, or s3://bucket/prefix
    environment: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)  # has the key of the bucket

    def __str__(self) -> str:
        return f"the lake {self.catalogue}"


@contextmanager
def open_lake(
    lake: Lake, settings: dict[str, str | bool | int | float | list[str]], wait_s: float
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose current database is the lake, created if absent, in UTC, with every other writer kept out.

    Waits up to `wait_s` seconds for another writer. Raises WarehouseError: no extension, no server, or waited in vain; where the
    rows are on object storage ConfigError without credentials, and WarehouseError where it refuses, also later in the block.
    """
    with (
        tempfile.TemporaryDirectory(prefix="daycast-") as spill,
        duckdb.connect(":memory:", config={**settings, "temp_directory": spill}) as con,
    ):
        con.execute("set TimeZone = 'UTC'")
        for name in _EXTENSIONS:
            _load(con, name)
        _attach(con, lake, f"{literal(lake.catalogue)} as catalogue (type postgres, schema 'none')")
        with _rows(con, lake), _alone(con, lake, wait_s):
            data = f"data_path {literal(lake.data)}"
            _attach(con, lake, f"{literal('ducklake:postgres:' + lake.catalogue)} as warehouse ({data})")
            con.execute("use warehouse")
            yield con


def is_lake(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the current database is a lake, not a file."""
    kinds = con.execute("select type from duckdb_databases() where database_name = current_database()").fetchall()
    return kinds == [("ducklake",)]


def _load(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension from its package where that is installed, else from DuckDB's own folder; never from the network."""
    package = find_spec(f"duckdb_extension_{name}")
    folders = [] if package is None else list(package.submodule_search_locations or ())
    files = [Path(folder) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension" for folder in folders]
    try:
        con.execute(f"load {next((literal(str(file)) for file in files if file.is_file()), name)}")
    except duckdb.Error:
        raise WarehouseError(
            f"warehouse.lake needs DuckDB's extension {name} for version {duckdb.__version__}: pip install 'daycast[lake]'"
        ) from None


def _rows(con: duckdb.DuckDBPyConnection, lake: Lake) -> AbstractContextManager[None]:
    """What makes the rows readable and writable; a folder is so without."""
    if not is_on_object_storage(lake.data):
        return nullcontext()
    _load(con, "httpfs")
    return object_storage(con, lake.data, lake.environment)


def _attach(con: duckdb.DuckDBPyConnection, lake: Lake, what: str) -> None:
    try:
        con.execute(f"attach {what}")
    except duckdb.Error as error:
        raise WarehouseError(f"{lake} cannot be opened: {' '.join(str(error).split())}") from None


@contextmanager
def _alone(con: duckdb.DuckDBPyConnection, lake: Lake, wait_s: float) -> Iterator[None]:
    """Hold the lock for the length of the block, on a connection to PostgreSQL that does nothing else."""
    patience = f"set_config('lock_timeout', '{max(1, round(wait_s * 1000))}', true)"
    ask = f"select {patience}, pg_advisory_xact_lock({_LOCK})::text"
    with con.cursor() as holder:
        holder.execute("begin")
        try:
            holder.execute(f"from postgres_query('catalogue', {literal(ask)})").fetchall()
        except duckdb.Error as error:
            if "lock timeout" not in str(error):
                raise WarehouseError(f"{lake} cannot be locked: {' '.join(str(error).split())}") from None
            raise WarehouseError(
                f"{lake} is held by another writer after {wait_s:.0f} s of waiting: see pg_locks for which"
            ) from None
        yield
