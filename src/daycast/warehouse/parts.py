"""How a long history lies in files: each holds a range of time, whole, and no two overlap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

Range = tuple[datetime, datetime]  # the end left out

SETTLED = timedelta(days=2)  # behind the newest row: until then a period may still be written to every hour


@dataclass(frozen=True)
class Part:
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


def compactable(parts: Sequence[Part], periods: Sequence[str], most: int) -> list[Range]:
    """The ranges of `divide` of which there are several parts: one file each will do."""
    if not parts:
        return []
    counts = pl.DataFrame([(part.since, part.rows) for part in parts], schema=["since", "rows"], orient="row")
    ranges = divide(counts, periods, most)
    return [one for one in ranges if sum(one[0] <= part.since and part.until <= one[1] for part in parts) > 1]


def to_write(parts: Sequence[Part], touched: Iterable[Range]) -> list[Range]:
    """The touched ranges, each grown to the parts it overlaps, and joined where they then overlap; in order."""
    grown = []
    for since, until in touched:
        over = [part for part in parts if overlap((since, until), part)]
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


def overlap(one: Range, part: Part) -> bool:
    """Whether a range and a part have an instant in common."""
    return part.since < one[1] and one[0] < part.until
