"""A table on the terminal, or for another program; polars is imported only then, because --help needs none."""

import json
import math
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

WIDTH = 100  # of a table that goes into a file or another program
ROWS = 200  # of such a table
LEAST_ROWS = 24  # of a table on a terminal, however low: a day has as many hours
BELOW = 6  # lines of a screen that are not rows: heading, notes, prompt


def terminal_width(most: int = 120) -> int:
    """Cells of a line, as COLUMNS or the terminal says; text is not wider than `most`, because long lines are hard to read."""
    return min(max(shutil.get_terminal_size((WIDTH, 0)).columns, 20), most)


def print_frame(frame: "pl.DataFrame", form: str, complete: str = "--format csv") -> None:
    """Print a frame as `table`, which fits the terminal, or whole and unrounded as `csv` or `json`.

    complete: the option that shows what a table leaves out.
    """
    if form == "json":
        from daycast.report.plain_values import plain_values

        rows = zip(*(plain_values(column) for column in frame), strict=True)
        print(to_json([dict(zip(frame.columns, row, strict=True)) for row in rows]))
    elif form == "csv":
        print(_flatten(frame).write_csv(), end="")
    else:
        from daycast.report.table import render_frame

        height = max(shutil.get_terminal_size((WIDTH, ROWS + BELOW)).lines - BELOW, LEAST_ROWS)
        print(render_frame(frame, terminal_width(most=10_000), height, complete))


def to_json(value: object, indent: int | None = None) -> str:
    """The value as JSON, and nothing that only Python takes for it: what is no finite number is null."""
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
    """What CSV has no form for as text: lists and the like as JSON, bytes in hexadecimal, infinite times by that name."""
    import polars as pl

    from daycast.report.plain_values import has_no_end, plain_values

    def as_text(series: pl.Series) -> pl.Series:
        values = plain_values(series)
        texts = [one if one is None or isinstance(one, str) else to_json(one) for one in values]
        return pl.Series(series.name, texts, pl.String)

    return frame.with_columns(
        as_text(column)
        for column in frame
        if column.dtype.is_nested() or isinstance(column.dtype, pl.Binary | pl.Duration) or has_no_end(column)
    )
