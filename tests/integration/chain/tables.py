"""Reading a warehouse in tests."""

import shutil
from pathlib import Path

import duckdb

TABLES = (
    "stations",
    "watermarks",
    "batches",
    "readings",
    "rejected_readings",
    "observation_versions",
    "models",
    "holdout_scores",
    "fallbacks",
    "forecasts",
    "scores",
)


def rows_of(folder: Path, table: str) -> list[tuple]:
    """Every row of a table of the warehouse in `folder`, as text, sorted."""
    with duckdb.connect(folder / "data" / "warehouse.duckdb", read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        return con.execute(f'select columns(*)::varchar from "{table}" order by all').fetchall()


def every_table(folder: Path) -> dict[str, list[tuple]]:
    return {table: rows_of(folder, table) for table in TABLES}


def copy_of(folder: Path, to: Path) -> Path:
    """The same state in another folder, so that a test can go on from it."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return to
