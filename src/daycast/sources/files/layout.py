"""How the lines of a text are laid out: separators, where the header stands, comments, and fixed widths.

`Layout` has the settings. `find_header` takes the header off a text, `Layout.plain` makes the lines after it a plain table of
separated values, and `Layout.cut` cuts lines of fixed width.
"""

import csv
import json
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Annotated, ClassVar, NamedTuple, Self

import polars as pl
from pydantic import AfterValidator, Field, model_validator

from daycast.errors import SourceError
from daycast.sources.tables.columns import GrownSettings

WHITESPACE = "whitespace"
_MAX_HEADER_LINES = 1000  # that a header in comments is looked for in
_MAX_COLUMNS = 20_000
_MAX_LINES_OF_UNITS = 5  # units are looked for in so many
_SEPARATORS = (",", ";", "\t", "|", WHITESPACE)  # that are tried where a header is not found
_COMMENTS = ("", "#", "%", "!", "//", ";")


def _validate_separator(text: str) -> str:
    if text != WHITESPACE and (len(text) != 1 or not text.isascii() or text in '"\r\n'):
        raise ValueError(
            f"{text!r} is not a separator: write one ASCII character such as ',', ';' or a tab, or {WHITESPACE!r} for blanks and "
            "tabs in any number"
        )
    return text


Separator = Annotated[str, AfterValidator(_validate_separator)]
Count = Annotated[int, Field(ge=0, le=100_000)]


class Layout(GrownSettings):
    """The settings that say which lines of a text are what. Blank lines are never rows."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"lines_before_header", "lines_after_header", "comment", "header_in_comment", "names", "widths"}
    )

    separator: Separator = ","
    lines_before_header: Count = 0  # such as a title
    lines_after_header: Count = 0  # such as units
    comment: Annotated[str, Field(min_length=1)] | None = None  # lines that begin with it are no rows
    header_in_comment: bool = False  # the header is one of the comments before the first row
    names: tuple[str, ...] | None = None  # the file has no header; empty: its columns are known by their positions
    widths: tuple[
        Annotated[int, Field(ge=1)], ...
    ] = ()  # of the columns, in characters; what stands beyond is not read

    @model_validator(mode="after")
    def _validate_layout(self) -> Self:
        if self.header_in_comment and self.comment is None:
            raise ValueError('header_in_comment needs comment = "#", or how else comments begin')
        if self.header_in_comment and self.names is not None:
            raise ValueError("give either names, for a file without a header, or header_in_comment")
        if self.names and self.widths and len(self.names) != len(self.widths):
            raise ValueError(
                f"there are {len(self.names)} names and {len(self.widths)} widths: give a width for each name"
            )
        if self.names and (repeated := sorted({name for name in self.names if self.names.count(name) > 1})):
            raise ValueError(f"names has {repeated[0]!r} more than once: give each column its own")
        return self

    @property
    def mark(self) -> str:
        """The single character between two values of `plain` lines."""
        return " " if self.separator == WHITESPACE else self.separator

    def is_comment(self, line: bytes) -> bool:
        """Whether a line is a comment."""
        return self.comment is not None and line.lstrip().startswith(self.comment.encode())

    def plain(self, lines: bytes) -> bytes:
        """The lines with comments left blank, and with single separators; there are as many lines as before."""
        if self.comment is not None and self.comment.encode() in lines:
            lines = re.sub(rb"(?m)^[ \t]*" + re.escape(self.comment.encode()) + rb"[^\n]*", b"", lines)
        if self.separator == WHITESPACE and not self.widths:
            lines = re.sub(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)", b"", lines)
            lines = re.sub(rb"[ \t]+", b" ", lines)
        return lines

    def cut(self, lines: pl.Series) -> pl.DataFrame:
        """The columns of lines of fixed width, without blanks around a value, null where empty."""
        starts = accumulate(self.widths[:-1], initial=0)
        text = pl.col("line")
        parts = [
            text.str.slice(start, width).str.strip_chars().alias(f"c{start}")
            for start, width in zip(starts, self.widths, strict=True)
        ]
        table = lines.alias("line").to_frame().select(parts)
        return table.select(pl.when(pl.all() != "").then(pl.all()))

    def fields(self, line: str, origin: str) -> list[str]:
        """The fields of one line without blanks around them. Raises SourceError naming `origin` for a line that has none."""
        if self.widths:
            [values] = self.cut(pl.Series([line])).fill_null("").rows()
            return list(values)
        try:
            found = next(csv.reader([self.plain(line.encode()).decode().rstrip("\r")], delimiter=self.mark), [])
        except csv.Error as error:
            raise SourceError(f"{origin} has an unreadable header: {error}") from None
        if len(found) > _MAX_COLUMNS:
            raise SourceError(
                f"{origin} has {len(found):,} columns, and at most {_MAX_COLUMNS:,} are read: is the separator right?"
            )
        return [" ".join(name.split("\n")).strip() for name in found]


def proposed_layout(lines: Iterable[str], layout: Layout, names: Collection[str]) -> str:
    """The end of a message: under which settings one of the lines is a header with all of `names`; empty if under none."""
    for before, line in enumerate(lines if names else ()):
        for separator in dict.fromkeys([layout.separator, *_SEPARATORS]):
            for mark in _COMMENTS:
                if not line.lstrip().startswith(mark):
                    continue
                text = line.lstrip().removeprefix(mark) if mark else line
                with suppress(SourceError):
                    if set(names) <= set(Layout(separator=separator).fields(text, "")):
                        return f"; line {before + 1} has them: set {_changed(layout, separator, mark, before)}"
    return ""


def _changed(layout: Layout, separator: str, mark: str, before: int) -> str:
    """The settings in which a layout differs, as in "comment = "#", header_in_comment = true"."""
    commented = {"comment": json.dumps(mark), "header_in_comment": "true"}
    plain = {} if before == layout.lines_before_header else {"lines_before_header": str(before)}
    other = {} if separator == layout.separator else {"separator": json.dumps(separator)}
    return ", ".join(f"{key} = {value}" for key, value in (other | (commented if mark else plain)).items())


@dataclass
class _Lines:
    """The lines of blocks, one by one, and what is left of the blocks."""

    blocks: Iterator[bytes]
    taken: int = 0
    _block: bytes = b""
    _at: int = field(default=0)

    def look(self) -> bytes | None:
        """The next line without its line feed; None at the end."""
        while self._at >= len(self._block):
            block = next(self.blocks, None)
            if block is None:
                return None
            self._block, self._at = block, 0
        end = self._block.find(b"\n", self._at)
        return self._block[self._at : end if end >= 0 else None]

    def take(self) -> bytes | None:
        """The next line, which is then over; None at the end."""
        line = self.look()
        if line is not None:
            self._at += len(line) + 1
            self.taken += 1
        return line

    def skip(self, count: int) -> list[bytes]:
        """Leave out that many lines, and return them."""
        return [line for _ in range(count) if (line := self.take()) is not None]

    def skip_blank(self, layout: Layout) -> None:
        """Leave out blank lines and comments."""
        while (line := self.look()) is not None and (not line.strip() or layout.is_comment(line)):
            self.take()

    def rest(self) -> Iterator[bytes]:
        """The blocks after the last line taken."""
        return chain([self._block[self._at :]], self.blocks)


class Header(NamedTuple):
    """The header of a text, and what comes after it."""

    names: list[str]  # of the columns
    below: list[list[str]]  # the fields of lines after it that are no rows, such as units
    rows: Iterator[bytes]  # the blocks after the header
    lines: int  # before these


def find_header(blocks: Iterator[bytes], layout: Layout, needed: Collection[str], origin: str) -> Header:
    """The header, which stands where the layout says.

    Raises SourceError naming `origin` for a header that is not where the layout says, or cannot be read.
    """
    lines = _Lines(blocks)
    lines.skip(layout.lines_before_header)
    if layout.names is not None:
        lines.skip(layout.lines_after_header)
        names = _given_names(lines, layout, origin)
        return Header(names, [], lines.rest(), lines.taken)
    in_comment = layout.header_in_comment
    names = _commented_names(lines, layout, needed, origin) if in_comment else _first_names(lines, layout, origin)
    below = lines.skip(layout.lines_after_header)[:_MAX_LINES_OF_UNITS]
    return Header(names, list(_fields_of(below, layout, origin)), lines.rest(), lines.taken)


def _fields_of(lines: Iterable[bytes], layout: Layout, origin: str) -> Iterator[list[str]]:
    """The fields of those lines that have some."""
    for line in lines:
        with suppress(SourceError):
            yield layout.fields(line.decode(), origin)


def _given_names(lines: _Lines, layout: Layout, origin: str) -> list[str]:
    lines.skip_blank(layout)
    if layout.names:
        return list(layout.names)
    first = lines.look() or b""
    return [f"column {index}" for index in range(1, len(layout.fields(first.decode(), origin)) + 1)]


def _commented_names(lines: _Lines, layout: Layout, needed: Collection[str], origin: str) -> list[str]:
    """The names in the comment before the first row that has most of the needed ones; the last of several."""
    best: list[str] = []
    mark = (layout.comment or "").encode()
    while (line := lines.look()) is not None and (not line.strip() or layout.is_comment(line)):
        lines.take()
        if lines.taken > _MAX_HEADER_LINES:
            raise SourceError(
                f"{origin} begins with more than {_MAX_HEADER_LINES:,} comments: the header was not found in them"
            )
        text = line.lstrip().removeprefix(mark)
        bare = Layout(separator=layout.separator, widths=layout.widths)
        names = (
            bare.fields((b" " * len(mark) + text if layout.widths else text).decode(), origin) if text.strip() else []
        )
        if names and sum(name in names for name in needed) >= sum(name in best for name in needed):
            best = names
    if not best:
        raise SourceError(f"{origin} has no comment before its first row, so no header: set header_in_comment = false")
    return best


def _first_names(lines: _Lines, layout: Layout, origin: str) -> list[str]:
    lines.skip_blank(layout)
    header = lines.take()
    if header is None:
        raise SourceError(
            f"{origin} has no header after {lines.taken:,} lines: are lines_before_header and comment right?"
        )
    while header.count(b'"') % 2 and (line := lines.take()) is not None and lines.taken < _MAX_HEADER_LINES:
        header += b"\n" + line  # a name in quotation marks that goes on
    return layout.fields(header.decode(), origin)
