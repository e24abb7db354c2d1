"""One process of the storm: its role, the published file, what it notes in a file as done, its name, and the warehouse.

A warehouse is the path of a file, or the catalogue and the folder of a lake.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import duckdb
import polars as pl

from daycast.variables import BUILT_IN
from daycast.warehouse import lake as module
from daycast.warehouse.forecasts import replace_forecasts
from daycast.warehouse.lake import Lake
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.readings import BatchRecord, append_batches
from daycast.warehouse.warehouse import SETTINGS, Warehouse, transaction

T0 = datetime(2026, 2, 1, tzinfo=UTC)
STATIONS = ["a", "b"]
REFUSALS = pl.DataFrame(
    schema=dict.fromkeys(("batch_id", "column_name", "value", "reason", "reading"), pl.String)
    | {"row_number": pl.UInt32, "rejected_at": pl.Datetime("us", "UTC")}
)


def write(warehouse: Path | Lake, published: Path, name: str, notes: Path) -> None:
    """Every writer replaces the same forecasts by others, adds batches that only it can have written, and publishes all of it."""
    numbers = count()
    with notes.open("a") as done:
        while True:
            with Warehouse(warehouse, BUILT_IN.values()).write(T0) as con:
                for number in (next(numbers) for _ in range(3)):
                    replace_forecasts(con, forecasts(hash_of(name) + number))
                    with transaction(con):
                        append_batches(con, [batch(f"{name}-{number}")], None, REFUSALS)
                    done.write(f"{name}-{number}\n")
                    done.flush()
                publish(con, published, number % 2 * 10**9)  # now in files beside it, now in one


def hash_of(name: str) -> float:
    """A number that tells writers apart."""
    return 1000.0 * sum(name.encode())


def forecasts(value: float) -> pl.DataFrame:
    leads = pl.DataFrame({"lead_hours": range(1, 25)}, schema={"lead_hours": pl.UInt8})
    quantiles = {f"q{level}": pl.lit(value) for level in ("05", "10", "25", "50", "75", "90", "95")}
    return leads.join(pl.DataFrame({"station_id": STATIONS}), how="cross").with_columns(
        variable=pl.lit("air_temperature_c"),
        issued_at=pl.lit(T0),
        valid_at=pl.lit(T0) + pl.duration(hours="lead_hours"),
        value=pl.lit(value),
        model_id=pl.lit("m"),
        forecaster=pl.lit("persistence"),
        input_regime=pl.lit("full"),
        created_at=pl.lit(T0),
        backfilled=pl.lit(value=False),
        **quantiles,
    )


def batch(name: str) -> BatchRecord:
    return BatchRecord(name, "storm", "", name, True, T0 + timedelta(hours=1), 0, 0, 0, 0, 0, T0)


@contextmanager
def attached(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lake as an analyst has it: read only, and without daycast."""
    with duckdb.connect(config=SETTINGS) as con, module._rows(con, lake):
        for name in ("ducklake", "postgres_scanner"):
            module._load(con, name)
        con.execute(f"attach 'ducklake:postgres:{lake.catalogue}' as warehouse (read_only)")
        con.execute("use warehouse")
        yield con


def read_lake(lake: Lake, notes: Path) -> None:
    """Ask the lake itself, over one connection."""
    with attached(lake) as con:
        watch(lambda: look(con), notes)


def read_published(published: Path, notes: Path) -> None:
    """Ask the published file, opened anew each time."""

    def ask() -> tuple[int, int]:
        with duckdb.connect(str(published), read_only=True) as con:
            return look(con)

    watch(ask, notes)


def look(con: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Forecasts are whole and of one writer; how many batches there are, and names of them."""
    for table in ("forecasts", "latest_forecasts"):
        found = con.execute(f"select count(*), min(value) = max(value) from {table}").fetchall()
        assert found in ([(0, None)], [(48, True)]), (table, found)
    return con.execute("select count(*), count(distinct batch_id) from batches").fetchall()[0]


def watch(ask: Callable[[], tuple[int, int]], notes: Path) -> None:
    """Batches only become more, and none is there twice."""
    before = 0
    with notes.open("a") as done:
        while True:
            batches, names = ask()
            assert batches == names >= before, (batches, names, before)
            before = batches
            done.write(f"{batches}\n")
            done.flush()


if __name__ == "__main__":
    role, file, noted_in, own_name, *where = sys.argv[1:]
    warehouse = Path(where[0]) if len(where) == 1 else Lake(*where, os.environ)
    if role == "writer":
        write(warehouse, Path(file), own_name, Path(noted_in))
    elif role == "reader of the lake":
        read_lake(warehouse, Path(noted_in))
    else:
        read_published(Path(file), Path(noted_in))
