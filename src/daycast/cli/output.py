"""Print a table for the terminal or for another program. polars is imported only when a table is printed."""

import json
import math
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

WIDTH = 100  # cells of a line if there is no terminal
ROWS = 200  # rows of a table if there is no terminal
LEAST_ROWS = 24  # rows of a table on any terminal, even a low one: the hours of a day
OTHER_LINES = 6  # lines of a screen that are not rows: heading, notes, prompt


def terminal_width(most: int = 120) -> int:
    """The width of a line in cells, from COLUMNS or the terminal, at least 20 and at most `most`: long lines are hard to read."""
    return min(max(shutil.get_terminal_size((WIDTH, 0)).columns, 20), most)


def print_frame(frame: "pl.DataFrame", form: str, complete: str = "--format csv") -> None:
    """Print a frame; form: `table`, which fits the terminal and rounds, or `csv` or `json`, complete and unrounded.

    complete: the option that shows everything, for the note below a table that leaves something out.
    """
    if form == "json":
        from daycast.report.plain_values import plain_values

        rows = zip(*(plain_values(column) for column in frame), strict=True)
        print(to_json([dict(zip(frame.columns, row, strict=True)) for row in rows]))
    elif form == "csv":
        print(_flatten(frame).write_csv(), end="")
    else:
        from daycast.report.table import render_frame

        height = max(shutil.get_terminal_size((WIDTH, ROWS + OTHER_LINES)).lines - OTHER_LINES, LEAST_ROWS)
        print(render_frame(frame, terminal_width(most=10_000), height, complete))


def to_json(value: object, indent: int | None = None) -> str:
    """The value as standard JSON: NaN and infinity, which only Python accepts in JSON, become null."""
    from daycast.report.plain_values import plain

    try:
        return json.dumps(value, allow_nan=False, default=plain, indent=indent)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, default=plain, indent=indent)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flatten(frame: "pl.DataFrame") -> "pl.DataFrame":
    """The frame with text for types that CSV lacks, as in JSON: times in ISO 8601, nested types as JSON, bytes as hexadecimal."""
    import polars as pl

    from daycast.report.plain_values import iso_times, plain_values

    def as_text(series: pl.Series) -> pl.Series:
        if isinstance(series.dtype, pl.Date | pl.Datetime):
            return iso_times(series)
        values = plain_values(series)
        texts = [one if one is None or isinstance(one, str) else to_json(one) for one in values]
        return pl.Series(series.name, texts, pl.String)

    return frame.with_columns(
        as_text(column)
        for column in frame
        if column.dtype.is_nested()
        or isinstance(column.dtype, pl.Binary | pl.Duration | pl.Date | pl.Datetime | pl.Time)
    )
