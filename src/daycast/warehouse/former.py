"""The publication before: what the next one can leave as it is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import duckdb
import polars as pl

from daycast.warehouse.comments import literal
from daycast.warehouse.connect import read_frame
from daycast.warehouse.parts import Part


@dataclass(frozen=True)
class Former:
    """The parts of each table whose history lay in files; nothing where the publication cannot be built upon."""

    publication_id: str | None = None
    parts: Mapping[str, list[Part]] = field(default_factory=dict)


@contextmanager
def attach_former(con: duckdb.DuckDBPyConnection, path: Path, layout: str) -> Iterator[Former]:
    """The published file at `path`, attached as `former` for the length of the block, where it can be built upon.

    It can, if what the warehouse says is unpublished is all it lacks: it is the warehouse's newest publication, or was made
    from that one by a process that died before it said so; and no table has changed its layout since.
    """
    try:
        con.execute(f"attach {literal(str(path))} as former (read_only)")
    except duckdb.Error:  # none there, or no database: as if there were none
        yield Former()
        return
    try:
        yield _read(con, layout)
    finally:
        con.execute("detach former")


def _read(con: duckdb.DuckDBPyConnection, layout: str) -> Former:
    newest = read_frame(con, "select_publication")["publication_id"].to_list()
    try:
        row = con.execute("select publication_id, follows, layout from former.publication").fetchall()[0]
        query = "select table_name, file, since, until, rows from former.history_files order by since"
        parts = cast(pl.DataFrame, pl.from_arrow(con.execute(query).to_arrow_table()))
    except duckdb.Error:  # made by a version that wrote neither
        return Former()
    if row[2] != layout or not set(row[:2]) & set(newest):
        return Former()
    found = [
        Part(**part) for part in parts.with_columns(pl.col("since", "until").dt.convert_time_zone("UTC")).to_dicts()
    ]
    return Former(
        row[0], {name: [part for part in found if part.table_name == name] for name in {p.table_name for p in found}}
    )
