"""The history of large tables: Parquet files beside the published file, and a view over them inside it.

The folder is named after the published file without its suffix: NAME/TABLE/day=YYYY-MM-DD/…-PUBLICATION.parquet, where the day is
the first one of the file's time range. Each file holds all rows of its range, and ranges do not overlap. A file is never
changed: a range written again becomes a new file, and the old one stays for a while for readers of the old published file.

First writing (`write_history`, `create_history_view`), then removing files, then the arithmetic of ranges.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from daycast.files import atomic_write, remove_drafts
from daycast.warehouse.append_only import APPEND_ONLY
from daycast.warehouse.statements import literal, quoted
from daycast.warehouse.warehouse import fetch_frame

Range = tuple[datetime, datetime]  # the end is exclusive

LARGEST = 5_000_000  # rows in a file, unless its finest period alone has more: rows are sorted in memory
SETTLED = timedelta(days=2)  # before the newest row: later periods may still be written to every hour
GRACE = timedelta(hours=2)  # how long files stay after the published file stops naming them
FOLDER_VARIABLE = "published_folder"  # set by readers who moved the files
_ROW_GROUP = 32_768  # small: one station is a few rows of a file, and only its row groups are read


@dataclass(frozen=True)
class Partition:
    """One Parquet file: all rows of one table in [since, until). `file` is relative to the folder of the history."""

    table_name: str
    file: str
    since: datetime
    until: datetime
    rows: int


def folder_of(path: Path) -> Path:
    """The folder of the history of the published file `path`."""
    return path.with_suffix("")


def write_history(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    table: str,
    previous: Sequence[Partition],
    touched: Iterable[Range],
    name: str,
) -> list[Partition]:
    """Write the touched ranges of `table` as new files. Returns all files of the table there are now.

    previous: the table's files so far; a file that overlaps a touched range, or is missing, is written again. Without `previous`
    everything is written. name: of this publication; it becomes part of each file's name.
    """
    if not previous:
        kept, ranges = list[Partition](), divide_ranges(_count(con, table), APPEND_ONLY[table].periods, LARGEST)
    else:
        existing = [part for part in previous if (folder_of(path) / part.file).is_file()]
        lost = [(part.since, part.until) for part in previous if part not in existing]
        ranges = ranges_to_write(previous, [*touched, *lost])
        kept = [part for part in existing if not any(overlap(one, part) for one in ranges)]
    written = [_write_partition(con, folder_of(path), table, one, name) for one in ranges]
    return sorted([*kept, *(part for part in written if part)], key=lambda part: part.since)


def compact_ranges(previous: Sequence[Partition]) -> list[Range]:
    """The ranges to touch so that small files of one table are merged."""
    return ranges_to_compact(previous, APPEND_ONLY[previous[0].table_name].periods, LARGEST) if previous else []


def _count(con: duckdb.DuckDBPyConnection, table: str) -> pl.DataFrame:
    """How many rows each day or hour of the table has: since, rows."""
    column, unit = APPEND_ONLY[table].column, {"1d": "day", "1h": "hour"}[APPEND_ONLY[table].periods[-1]]
    query = f"select date_trunc('{unit}', {column}) as since, count(*) as rows from {quoted(table)} group by 1"
    return fetch_frame(con, query)


def _write_partition(
    con: duckdb.DuckDBPyConnection, folder: Path, table: str, of: Range, name: str
) -> Partition | None:
    """Write the rows of a range as a file; None if there are none."""
    file = f"{table}/day={of[0]:%Y-%m-%d}/{of[0]:%H}-{(of[1] - of[0]) // timedelta(hours=1)}h-{name}.parquet"
    with atomic_write(folder / file) as draft:
        ((rows,),) = con.execute(
            f"copy (from {quoted(table)} where {range_condition(table, of)} order by {APPEND_ONLY[table].order}) "
            f"to {literal(str(draft))} (format parquet, compression zstd, row_group_size {_ROW_GROUP})"
        ).fetchall()
    if rows:
        return Partition(table, file, *of, rows)
    (folder / file).unlink()
    return None


def range_condition(table: str, of: Range) -> str:
    """The SQL condition that a row of an append-only table lies in a range, in a form that lets DuckDB skip row groups."""
    column = APPEND_ONLY[table].column
    since, until = (f"timestamptz '{moment:%Y-%m-%d %H:%M:%S}+00'" for moment in of)
    return f"{column} >= {since} and {column} < {until}"


def create_history_view(
    con: duckdb.DuckDBPyConnection, path: Path, table: str, partitions: Sequence[Partition]
) -> None:
    """Create the view `table` over the files of `partitions` in the current database.

    The view reads the present folder, unless the reader set the variable published_folder because the files were moved.
    """
    files = ", ".join(literal(part.file) for part in partitions)
    folder = f"coalesce(getvariable('{FOLDER_VARIABLE}'), {literal(str(folder_of(path).resolve()))})"
    con.execute(
        f"create view {quoted(table)} as "
        f"from read_parquet([{folder} || '/' || file for file in [{files}]], hive_partitioning = false)"
    )


def start_grace_period(path: Path, files: Iterable[str] | None = None) -> None:
    """Start the grace period of files that the published file will no longer name; without `files`, of all files."""
    folder = folder_of(path)
    for file in folder.rglob("*.parquet") if files is None else (folder / file for file in files):
        if file.is_file():
            os.utime(file)


def remove_unnamed(path: Path, now: datetime) -> list[Path]:
    """Remove the files that the published file has not named for GRACE before `now`, and drafts of killed publications.

    Call while nobody publishes. Returns the files removed.
    """
    folder, named = folder_of(path), _named_files(path)
    for place in (folder, *folder.rglob("day=*")):
        remove_drafts(place)
    unnamed = [
        file
        for file in sorted(folder.rglob("*.parquet"))
        if str(file.relative_to(folder)) not in named
        and datetime.fromtimestamp(file.stat().st_mtime, UTC) < now - GRACE
    ]
    _unlink(unnamed)
    return unnamed


def remove_publication(path: Path, publication: str) -> None:
    """Remove the files of a publication that failed, except those that the published file names."""
    try:
        named = _named_files(path) if path.is_file() else set()
    except duckdb.Error:  # damaged: nobody can read any file through it
        named = set()
    folder = folder_of(path)
    _unlink([file for file in folder.rglob(f"*-{publication}.parquet") if str(file.relative_to(folder)) not in named])


def _unlink(files: Sequence[Path]) -> None:
    """Remove files, and the folders that they leave empty."""
    for file in files:
        file.unlink()
    for day in {file.parent for file in files}:
        if not any(day.iterdir()):
            day.rmdir()


def _named_files(path: Path) -> set[str]:
    """The files that the published file at `path` names."""
    with duckdb.connect(path, read_only=True) as con:
        return {file for (file,) in con.execute("select file from history_files").fetchall()}


def divide_ranges(counts: pl.DataFrame, periods: Sequence[str], most: int) -> list[Range]:
    """Divide a table's time into ranges, one for each file; sorted.

    Each range is the coarsest period that is settled and has at most `most` rows, else the finest period. counts: since (start of
    a finest period, or of several), rows. periods: as polars names them, coarsest first.
    """
    left, ranges = counts, []
    settled = counts["since"].max() - SETTLED  # type: ignore[operator]
    for period in periods:
        begin = pl.col("since").dt.truncate(period)
        sized = left.with_columns(begin=begin, end=begin.dt.offset_by(period), total=pl.col("rows").sum().over(begin))
        whole = (pl.col("total") <= most) & (pl.col("end") <= settled)
        taken = sized.filter(whole if period != periods[-1] else True)
        ranges += taken.select("begin", "end").unique().rows()
        left = sized.filter(~whole).select("since", "rows")
    return sorted(ranges)


def ranges_to_compact(partitions: Sequence[Partition], periods: Sequence[str], most: int) -> list[Range]:
    """The ranges of `divide_ranges` that consist of several files and could be one."""
    if not partitions:
        return []
    counts = pl.DataFrame([(part.since, part.rows) for part in partitions], schema=["since", "rows"], orient="row")
    ranges = divide_ranges(counts, periods, most)
    return [one for one in ranges if sum(one[0] <= part.since and part.until <= one[1] for part in partitions) > 1]


def ranges_to_write(partitions: Sequence[Partition], touched: Iterable[Range]) -> list[Range]:
    """The ranges to write: each touched range, extended to whole files it overlaps, and merged where they overlap; sorted."""
    grown = []
    for since, until in touched:
        over = [part for part in partitions if overlap((since, until), part)]
        grown.append(
            (min([since, *(part.since for part in over)]), max([until, *(part.until for part in over)])),
        )
    return join_ranges(grown, adjacent=False)


def join_ranges(ranges: Iterable[Range], *, adjacent: bool) -> list[Range]:
    """Merge ranges that overlap, with `adjacent` also ranges that meet; sorted."""
    result: list[Range] = []
    for since, until in sorted(ranges):
        if result and (since < result[-1][1] or (adjacent and since == result[-1][1])):
            result[-1] = (result[-1][0], max(result[-1][1], until))
        else:
            result.append((since, until))
    return result


def overlap(one: Range, part: Partition) -> bool:
    """Whether a range and a file have an instant in common."""
    return part.since < one[1] and one[0] < part.until
