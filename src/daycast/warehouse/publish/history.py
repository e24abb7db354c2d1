"""The history of tables that grew large: Parquet files beside the published file, and a view over them inside it.

The files lie in a folder named as the published file without its suffix, NAME/TABLE/day=YYYY-MM-DD/…-PUBLICATION.parquet, by the
day on which their rows' time begins. A file is never altered: a range written again is a new file, and the old one stays for a
while for those who still read the published file that names it.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import duckdb
import polars as pl

from daycast.files import atomic_write, remove_drafts
from daycast.warehouse.append_only import APPEND_ONLY
from daycast.warehouse.statements import literal, quoted

# How a long history lies in files: each holds a range of time, whole, and no two overlap.


Range = tuple[datetime, datetime]  # the end left out

SETTLED = timedelta(days=2)  # behind the newest row: until then a period may still be written to every hour


@dataclass(frozen=True)
class Partition:
    """A file of one table's rows of [since, until); `file` is relative to the folder of the history."""

    table_name: str
    file: str
    since: datetime
    until: datetime
    rows: int


def divide(counts: pl.DataFrame, periods: Sequence[str], most: int) -> list[Range]:
    """Ranges that hold all rows, in order: of the coarsest period that is over and has at most `most` rows, else of the finest.

    counts: since (the begin of some finest period, or of several), rows; periods: as polars names them, coarsest first.
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


def compactable(partitions: Sequence[Partition], periods: Sequence[str], most: int) -> list[Range]:
    """The ranges of `divide` of which there are several parts: one file each will do."""
    if not partitions:
        return []
    counts = pl.DataFrame([(part.since, part.rows) for part in partitions], schema=["since", "rows"], orient="row")
    ranges = divide(counts, periods, most)
    return [one for one in ranges if sum(one[0] <= part.since and part.until <= one[1] for part in partitions) > 1]


def to_write(partitions: Sequence[Partition], touched: Iterable[Range]) -> list[Range]:
    """The touched ranges, each grown to the parts it overlaps, and joined where they then overlap; in order."""
    grown = []
    for since, until in touched:
        over = [part for part in partitions if overlap((since, until), part)]
        grown.append(
            (min([since, *(part.since for part in over)]), max([until, *(part.until for part in over)])),
        )
    return joined(grown, adjacent=False)


def joined(ranges: Iterable[Range], *, adjacent: bool) -> list[Range]:
    """Ranges that overlap made one; with `adjacent` also those that meet. In order."""
    result: list[Range] = []
    for since, until in sorted(ranges):
        if result and (since < result[-1][1] or (adjacent and since == result[-1][1])):
            result[-1] = (result[-1][0], max(result[-1][1], until))
        else:
            result.append((since, until))
    return result


def overlap(one: Range, part: Partition) -> bool:
    """Whether a range and a part have an instant in common."""
    return part.since < one[1] and one[0] < part.until


LARGEST = 5_000_000  # rows of a file, where its finest period has no more: they are sorted in memory
GRACE = timedelta(hours=2)  # how long files stay that the published file no longer names
FOLDER_VARIABLE = "published_folder"  # set by readers who moved the files
_ROW_GROUP = 32_768  # small: one station is a few rows of a file, and only its row groups are read


def folder_of(path: Path) -> Path:
    """Where the history of the published file `path` lies."""
    return path.with_suffix("")


def write_history(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    table: str,
    previous: Sequence[Partition],
    touched: Iterable[Range],
    name: str,
) -> list[Partition]:
    """Write what is touched of `table`, with whole files of `previous` where they overlap it; returns all parts there are now.

    Without `previous` everything is written. name: of this publication, in the name of each file.
    """
    kept, ranges = list[Partition](), divide(_count(con, table), APPEND_ONLY[table].periods, LARGEST)
    if previous:
        there = [part for part in previous if (folder_of(path) / part.file).is_file()]
        lost = [(part.since, part.until) for part in previous if part not in there]
        ranges = to_write(previous, [*touched, *lost])
        kept = [part for part in there if not any(overlap(one, part) for one in ranges)]
    written = [_write_partition(con, folder_of(path), table, one, name) for one in ranges]
    return sorted([*kept, *(part for part in written if part)], key=lambda part: part.since)


def compact_ranges(previous: Sequence[Partition]) -> list[Range]:
    """What to touch for several small files of one table to become one."""
    return compactable(previous, APPEND_ONLY[previous[0].table_name].periods, LARGEST) if previous else []


def _count(con: duckdb.DuckDBPyConnection, table: str) -> pl.DataFrame:
    """How many rows each day or hour has: since, rows."""
    column, unit = APPEND_ONLY[table].column, {"1d": "day", "1h": "hour"}[APPEND_ONLY[table].periods[-1]]
    query = (
        f"select date_trunc('{unit}', {column}::timestamptz) as since, count(*) as rows from {quoted(table)} group by 1"
    )
    return cast(pl.DataFrame, pl.from_arrow(con.execute(query).to_arrow_table()))


def _write_partition(
    con: duckdb.DuckDBPyConnection, folder: Path, table: str, of: Range, name: str
) -> Partition | None:
    """A file of the rows of a range; none where there are no rows."""
    file = f"{table}/day={of[0]:%Y-%m-%d}/{of[0]:%H}-{(of[1] - of[0]) // timedelta(hours=1)}h-{name}.parquet"
    with atomic_write(folder / file) as draft:
        ((rows,),) = con.execute(
            f"copy (from {quoted(table)} where {within(table, of)} order by {APPEND_ONLY[table].order}) "
            f"to {literal(str(draft))} (format parquet, compression zstd, row_group_size {_ROW_GROUP})"
        ).fetchall()
    if rows:
        return Partition(table, file, *of, rows)
    (folder / file).unlink()
    return None


def within(table: str, of: Range) -> str:
    """The condition that a row of a table that grows lies in a range, as row groups are found by."""
    column = APPEND_ONLY[table].column
    kind = "date" if column == "valid_on" else "timestamptz"
    since, until = (f"{kind} '{moment:%Y-%m-%d %H:%M:%S}{'' if kind == 'date' else '+00'}'" for moment in of)
    return f"{column} >= {since} and {column} < {until}"


def create_history_view(
    con: duckdb.DuckDBPyConnection, path: Path, table: str, partitions: Sequence[Partition]
) -> None:
    """In the current database the view `table` over the files of `partitions`.

    Their folder is that of now, or what the reader's variable published_folder says, where all of it was moved.
    """
    files = ", ".join(literal(part.file) for part in partitions)
    folder = f"coalesce(getvariable('{FOLDER_VARIABLE}'), {literal(str(folder_of(path).resolve()))})"
    con.execute(
        f"create view {quoted(table)} as "
        f"from read_parquet([{folder} || '/' || file for file in [{files}]], hive_partitioning = false)"
    )


def spare(path: Path, files: Iterable[str] | None = None) -> None:
    """Begin the time for which files stay that will not be named any more; without `files` all there are."""
    folder = folder_of(path)
    for file in folder.rglob("*.parquet") if files is None else (folder / file for file in files):
        if file.is_file():
            os.utime(file)


def remove_unnamed(path: Path, now: datetime) -> list[Path]:
    """Remove the files that the published file does not name and that were let go, or left by a killed publication, long ago.

    Long ago is two hours before `now`. Call while nobody publishes; returns what was removed.
    """
    folder, named = folder_of(path), _named(path)
    for place in (folder, *folder.rglob("day=*")):
        remove_drafts(place)
    gone = [
        file
        for file in sorted(folder.rglob("*.parquet"))
        if str(file.relative_to(folder)) not in named
        and datetime.fromtimestamp(file.stat().st_mtime, UTC) < now - GRACE
    ]
    _unlink(gone)
    return gone


def remove_publication(path: Path, publication: str) -> None:
    """Remove the files of a publication that failed; none that the published file names."""
    try:
        named = _named(path) if path.is_file() else set()
    except duckdb.Error:  # damaged: nobody reads anything by it
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


def _named(path: Path) -> set[str]:
    with duckdb.connect(path, read_only=True) as con:
        return {file for (file,) in con.execute("select file from history_files").fetchall()}
