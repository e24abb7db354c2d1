"""Headers that name other columns than the first one: between the rows of a text (`LaterHeaders`), or in another file.

They stand where a logger's program was changed, or files were put together.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from daycast.errors import SourceError, listed
from daycast.sources.files.layout import Layout
from daycast.sources.tables.short_forms import position_of

OTHER_HEADER = "(later header)"  # a column with the line and names of the one under which a row stands
_ROW = "(row)"


class LaterHeaders:
    """Finds them in the chunks of one text, in order.

    Rows under one whose needed columns are elsewhere than the first header has them are marked, until a header has them there.
    """

    def __init__(self, layout: Layout, written: Sequence[str], needed: Sequence[int], dated: int | None) -> None:
        """written: the first header. needed: the positions, from 0, of the columns that are read; dated: see `read_chunks`."""
        self._layout, self._written, self._needed = layout, list(written), needed
        self._dated = None if layout.names is not None else dated
        self._other: str | None = None

    def uncomment(self, block: bytes) -> bytes:
        """The lines; without the mark of comments those that are headers, if the first one is such a comment."""
        layout, mark = self._layout, (self._layout.comment or "").encode()
        if self._dated is None or not layout.header_in_comment or mark not in block:
            return block

        def bare(found: re.Match[bytes]) -> bytes:
            text = (b" " * len(mark) if layout.widths else b"") + found[1]
            names = Layout(separator=layout.separator, widths=layout.widths).fields(text.decode(), "")
            return text if self._written[self._dated or 0] in names and len(names) > 1 else found[0]

        return re.sub(rb"(?m)^[ \t]*" + re.escape(mark) + rb"([^\n]*)", bare, block)

    def mark(self, table: pl.DataFrame, body: bytes, lines_before: int) -> pl.DataFrame:
        """The table, with a column OTHER_HEADER if it has rows under another header, which is told by its line and names."""
        if self._dated is None:
            return table
        at = self._headers(table)
        if not at and self._other is None:
            return table
        others: list[tuple[int, str | None]] = [(0, self._other)]
        for row in at:
            self._other = self._tell(table.row(row)[: table.width], body, lines_before)
            others.append((row, self._other))
        if any(other for _, other in others):
            rows, texts = zip(*others, strict=True)
            marked = pl.Series([None] * table.height, dtype=pl.String)
            for first, other in zip(rows, texts, strict=True):
                marked = marked.scatter(range(first, table.height), other)
            table = table.with_columns(marked.alias(OTHER_HEADER))
        if self._layout.header_in_comment and at:
            table = table.with_row_index(_ROW).filter(~pl.col(_ROW).is_in(at)).drop(_ROW)
        return table

    def _headers(self, table: pl.DataFrame) -> list[int]:
        """The rows that are headers: where the dated column has no digit, or its own name, and other cells are names too."""
        dated, name = pl.col(table.columns[self._dated or 0]), self._written[self._dated or 0]
        may_be = ~dated.str.contains(r"\d")
        if any(map(str.isdigit, name)):
            may_be |= dated == name
        rows = table.lazy().with_row_index(_ROW).filter(may_be).collect()
        if rows.is_empty():
            return []
        cells = [pl.col(name).str.strip_chars() for name in table.columns]
        names = pl.sum_horizontal(cell.is_in(self._written).fill_null(value=False) for cell in cells)
        numbers = pl.any_horizontal(cell.cast(pl.Float64, strict=False).is_not_null() for cell in cells)
        is_named = (dated.str.strip_chars() == name).fill_null(value=False)
        is_header = ((names > 1) | is_named) & ~numbers.fill_null(value=False)
        several = pl.sum_horizontal(cell.is_not_null() for cell in cells) > 1
        return rows.filter(is_header & several)[_ROW].to_list()

    def _tell(self, cells: Sequence[str | None], body: bytes, lines_before: int) -> str | None:
        """The line and the names of a header; None if the columns that are read are where the first header has them."""
        names = [(cell or "").strip() for cell in cells]
        same = all(names[at] == self._written[at] for at in self._needed)
        if same and not any(names[len(self._written) :]):
            return None
        for number, line in enumerate(body.split(b"\n"), lines_before + 1):
            found = self._layout.fields(line.decode(), "") if line.strip() else []
            if found and found == names[: len(found)] and not any(names[len(found) :]):
                return f"line {number}: {listed([name for name in names if name])}"
        return f"a later line: {listed([name for name in names if name])}"


@dataclass(frozen=True)
class FileHeader:
    """The names in the header of a file."""

    origin: str  # of the file, for people
    names: tuple[str, ...]

    def differs_from(self, first: "FileHeader", columns: Iterable[str]) -> str | None:
        """A doubt if columns that are read by their position are called otherwise than in the first file; None if not.

        Raises SourceError if they have changed places: the name at a position stands elsewhere in the other header.
        """
        own, others = [[name.strip().casefold() for name in one.names] for one in (self, first)]
        for position in filter(None, map(position_of, columns)):
            name, other = (names[position - 1] if position <= len(names) else "" for names in (own, others))
            if not name or not other or name == other:
                continue
            said = (
                f"{self.origin}: column {position} is called {self.names[position - 1]!r} here ({listed(self.names)}), and "
                f"{first.names[position - 1]!r} in {first.origin} ({listed(first.names)})"
            )
            if name in others or other in own:
                raise SourceError(f"{said}: give names in place of positions, or read these files as another source")
            return (
                f"{said}: see whether it is the same quantity in the same unit, or read these files as another source"
            )
        return None
