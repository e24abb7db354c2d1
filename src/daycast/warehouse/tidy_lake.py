"""What a lake need not keep: its past states, the files that only they name, and rows in many small files."""

from datetime import timedelta

import duckdb

from daycast.times import DAY

_STEPS = (
    "ducklake_expire_snapshots('warehouse', older_than => now() - $kept)",
    "ducklake_merge_adjacent_files('warehouse')",
    "ducklake_rewrite_data_files('warehouse')",
    "ducklake_cleanup_old_files('warehouse', older_than => now() - $kept)",
)


def tidy_lake(con: duckdb.DuckDBPyConnection, kept: timedelta = DAY) -> None:
    """Forget the states that the lake had longer ago than `kept`, and delete their files; small files become larger ones.

    No row changes. Whoever reads goes on, unless it is a state older than that. Each step is a commit of its own, and one that is
    killed is made good by the next call. Two things stay: files that a killed writer never committed, for what the catalogue does
    not know may be somebody else's; and the few rows that DuckLake keeps in the catalogue itself, for DuckLake 1.5 moves them out
    only when nobody reads.
    """
    for step in _STEPS:
        con.execute(f"call {step}", {"kept": kept} if "$kept" in step else None).fetchall()
