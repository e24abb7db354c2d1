"""One process of the storm: `writer` or `reader`, the lake, a name, and the file it notes in what it knows to be done."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import duckdb
import polars as pl

from daycast.variables import BUILT_IN
from daycast.warehouse import lake as module
from daycast.warehouse.connect import SETTINGS, open_warehouse, transaction
from daycast.warehouse.forecasts import replace_forecasts
from daycast.warehouse.ingestion import Batch, append_batches
from daycast.warehouse.lake import Lake

T0 = datetime(2026, 2, 1, tzinfo=UTC)
STATIONS = ["a", "b"]
REFUSALS = pl.DataFrame(
    schema=dict.fromkeys(("batch_id", "column_name", "value", "reason", "reading"), pl.String)
    | {"row_number": pl.UInt32, "rejected_at": pl.Datetime("us", "UTC")}
)


def write(lake: Lake, name: str, notes: Path) -> None:
    """Every writer replaces the same forecasts by others, and adds batches that only it can have written."""
    numbers = count()
    with notes.open("a") as done:
        while True:
            with open_warehouse(lake, BUILT_IN.values(), T0) as con:
                for number in (next(numbers) for _ in range(3)):
                    replace_forecasts(con, forecasts(hash_of(name) + number))
                    with transaction(con):
                        append_batches(con, [batch(f"{name}-{number}")], None, REFUSALS)
                    done.write(f"{name}-{number}\n")
                    done.flush()


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
        **quantiles,
    )


def batch(name: str) -> Batch:
    return Batch(name, "storm", "", name, True, T0 + timedelta(hours=1), 0, 0, 0, 0, 0, T0)


@contextmanager
def attached(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lake as an analyst has it: read only, and without daycast."""
    with duckdb.connect(config=SETTINGS) as con:
        for name in ("ducklake", "postgres_scanner"):
            module._load(con, name)
        con.execute(f"attach 'ducklake:postgres:{lake.catalogue}' as warehouse (read_only)")
        con.execute("use warehouse")
        yield con


def read(lake: Lake, notes: Path) -> None:
    """Forecasts are whole and of one writer at every moment; batches only become more."""
    before = 0
    with attached(lake) as con, notes.open("a") as done:
        while True:
            found = con.execute("select count(*), min(value) = max(value) from latest_forecasts").fetchall()
            assert found in ([(0, None)], [(48, True)]), found
            batches, names = con.execute("select count(*), count(distinct batch_id) from batches").fetchall()[0]
            assert batches == names >= before, (batches, names, before)
            before = batches
            done.write(f"{batches}\n")
            done.flush()


if __name__ == "__main__":
    role, catalogue, data, own_name, file = sys.argv[1:]
    given = Lake(catalogue, data)
    if role == "writer":
        write(given, own_name, Path(file))
    else:
        read(given, Path(file))
