"""A table on the terminal, or for another program."""

import json


def print_frame(frame, form: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - polars is not imported for --help
    """Print a polars frame as `table`, `csv` or `json`."""
    import polars as pl

    if form == "json":
        print(json.dumps(frame.to_dicts(), default=str))
    elif form == "csv":
        print(frame.write_csv(), end="")
    else:
        with pl.Config(
            tbl_rows=200, tbl_cols=30, tbl_width_chars=220, fmt_str_lengths=200, tbl_hide_dataframe_shape=True
        ):
            print(frame)
