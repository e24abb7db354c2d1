"""The columns of a GHCNh file by name, in the spellings that NOAA has used so far."""

from collections.abc import Collection

import polars as pl

from daycast.errors import SourceError
from daycast.sources.nearest import listed
from daycast.sources.tables.text_values import present

_SEPARATOR = "|"
_ALSO = {"station_id": "station"}  # format 1.0 against 1.1, in any case


def split_fields(line: str) -> list[str]:
    """The names in a header, as we compare them, or the fields of a row."""
    return [field.strip() for field in line.split(_SEPARATOR)]


def column_names(header: str) -> list[str]:
    """The names of the columns, in lower case and as format 1.1 has them."""
    folded = [name.casefold() for name in split_fields(header)]
    return [_ALSO.get(name, name) for name in folded]


def read_columns(lines: pl.Series, needed: Collection[str], wanted: Collection[str], origin: str) -> pl.DataFrame:
    """The columns `needed` and `wanted` of the table in `lines`, whose first is the header, as text, null where empty.

    A wanted column that is not there is null. A row has a line; quotation marks mean nothing, as remarks are full of them.
    Raises SourceError naming `origin` and a needed column that is not there, or any that is there twice.
    """
    header = column_names(lines[0])
    names = [*needed, *wanted]
    lacking = [name for name in needed if name not in header]
    if lacking:
        raise SourceError(
            f"{origin} is no GHCNh file: no column {lacking[0]!r} in its header {listed(split_fields(lines[0]))}"
        )
    repeated = [name for name in names if header.count(name) > 1]
    if repeated:
        raise SourceError(f"{origin} has more than one column {repeated[0]!r}; which one is meant cannot be known")
    table = _table(lines, [header.index(name) for name in names if name in header], len(header))
    absent = [pl.lit(None, pl.String).alias(name) for name in names if name not in header]
    there = [present(pl.col(f"c{header.index(name)}"), ()).alias(name) for name in names if name in header]
    return table.select(there).with_columns(absent).select(names)


def has_right_width(lines: pl.Series) -> pl.Series:
    """Which of the lines behind the header have as many fields as it."""
    separators = lines.str.count_matches(_SEPARATOR, literal=True)
    return separators.slice(1) == separators[0]


def _table(lines: pl.Series, positions: list[int], width: int) -> pl.DataFrame:
    """The columns c0, c1 … at these positions, under a header of our own, which has no name twice."""
    header = _SEPARATOR.join(f"c{index}" for index in range(width))
    text = pl.concat([pl.Series("line", [header]), lines.slice(1)]).str.join("\n").item()
    return pl.read_csv(
        text.encode(),
        separator=_SEPARATOR,
        quote_char=None,
        infer_schema=False,
        truncate_ragged_lines=True,
        columns=[f"c{index}" for index in sorted(set(positions))],
    )
