"""A table on the terminal, or for another program; polars is imported only then, because --help needs none."""

import json
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
        print(json.dumps(frame.to_dicts(), default=str))
    elif form == "csv":
        print(_flatten(frame).write_csv(), end="")
    else:
        from daycast.report.frame import render_frame

        rows = max(shutil.get_terminal_size((WIDTH, ROWS + BELOW)).lines - BELOW, LEAST_ROWS)
        print(render_frame(frame, terminal_width(most=10_000), rows, complete))


def _flatten(frame: "pl.DataFrame") -> "pl.DataFrame":
    """What CSV has no form for as text: lists and the like as JSON, bytes in hexadecimal."""
    import polars as pl

    nested = {
        name: [None if value is None else json.dumps(value, default=str) for value in frame[name].to_list()]
        for name, dtype in frame.schema.items()
        if dtype.is_nested()
    }
    return frame.with_columns(
        pl.col(pl.Binary).bin.encode("hex"), *(pl.Series(name, texts, pl.String) for name, texts in nested.items())
    )
