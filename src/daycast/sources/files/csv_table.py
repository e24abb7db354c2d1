"""What could not be read of a CSV file, row by row and in words."""

import csv
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import Annotated, BinaryIO

import polars as pl
from pydantic import AfterValidator

from daycast.errors import SourceError, did_you_mean, listed
from daycast.sources.batch import PROBLEM_SCHEMA
from daycast.sources.files.inbox import UnfinishedFileError
from daycast.sources.streams import (
    MOST_IN_MEMORY,
    UNREADABLE,
    DamagedError,
    Evidence,
    as_utf8,
    counted,
    is_packed,
    marked_encoding,
    unpacked,
    whole_lines,
)
from daycast.sources.tables.values import ValueReader

# A file of separated values as frames of strings: nothing guessed, nothing dropped, or one line that says why not.
#
# A text is gone through twice: once to see what it is (`survey`), once to read it, in pieces that fit into memory.


BEYOND = "(beyond the header"  # how the columns begin that hold what stands behind the last named one
_MOST_BEYOND = 1000  # a line of garbage must not become a million columns
_MOST_COLUMNS = 20_000
_MOST_ROWS = 500_000  # of a piece
_MOST_CELLS = 20_000_000  # of a piece; each takes 16 bytes, even an empty one
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_HEAD = 1024  # bytes by which text is told from anything else
_TAIL = 4  # bytes that hold a line break in any encoding
_CUT_OFF = "is a damaged or incomplete gzip file"


def _validate_separator(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text in '"\r\n':
        raise ValueError(f"{text!r} is no separator: write one ASCII character such as ',', ';' or a tab")
    return text


Separator = Annotated[str, AfterValidator(_validate_separator)]


@dataclass(frozen=True)
class Survey:
    """What must be known of the whole text before any of it is read."""

    encoding: str
    declared: bool  # by the configuration or by a byte order mark
    is_utf8: bool  # to the last byte
    quoted: bool  # a quotation mark stands anywhere in it
    newlines: bool  # lines end in a line feed, not as on old Macintoshes
    ends_mid_line: bool  # as plain text does while it is being copied

    @property
    def doubt(self) -> str:
        """What to say where something is not found in the text; nothing of a text that is plainly UTF-8."""
        if self.is_utf8:
            return ""
        if self.declared:
            return f"; it was read as {self.encoding}"
        return f'; it is not all UTF-8 and was read as {self.encoding}: set encoding if it is another, such as "cp1251"'


@dataclass(frozen=True)
class Chunk:
    """Some rows of a text in order: every column a string under the name in the header, null where empty."""

    table: pl.DataFrame
    first_line: int  # in the file, from 1
    unreadable: bool  # there are bytes in it that are no text, or might be
    last: bool


def ends_mid_line(content: bytes) -> bool:
    """Whether plain text ends without a line break."""
    return not content.rstrip(b"\x00").endswith((b"\n", b"\r"))  # a line break in UTF-16 may end in a zero


def survey(stream: BinaryIO, origin: str, encoding: str | None = None) -> Survey:
    """Look at all of a text, plain or gzip, in the declared `encoding` or, where that is None, the one its bytes tell of.

    Raises SourceError naming `origin` for what is no text and for more bytes, or a longer line, than is ever read, and its
    UnfinishedFileError for what is empty or a gzip file that ends too early.
    """
    head, tail, evidence = b"", b"", Evidence()
    empty, quoted, newlines = True, False, False
    known = encoding
    for lines in whole_lines(counted(_unpacked(stream, origin), origin), origin):
        if not head:
            head = lines[:_HEAD]
            known = known or marked_encoding(head)
        evidence.add(lines)
        empty = empty and not lines.strip()
        quoted = quoted or b'"' in lines
        newlines = newlines or b"\n" in lines
        tail = (tail + lines[-_TAIL:])[-_TAIL:]
    if empty:
        raise UnfinishedFileError(f"{origin} is empty: a header was expected")
    if known is None and _BINARY.search(head):
        wide = " or is it UTF-16? Then set encoding = 'utf-16-le' or 'utf-16-be'" if b"\x00" in head[:4] else ""
        raise SourceError(f"{origin} is no text (it begins with {head[:8]!r}){wide}")
    return Survey(
        encoding=known or evidence.encoding,
        declared=known is not None,
        is_utf8=evidence.is_utf8 and (known or "utf-8").lower() in {"utf-8", "utf8", "utf-8-sig"},
        quoted=quoted,
        newlines=newlines,
        ends_mid_line=not is_packed(stream) and ends_mid_line(tail),
    )


def read_chunks(
    stream: BinaryIO, about: Survey, separator: str, needed: Collection[str], origin: str
) -> Iterator[Chunk]:
    """The rows of a text, of which `about` is the survey, in pieces that fit into memory; at least one.

    Short rows end in nulls, fields beyond the header stand in columns that begin with BEYOND, and lines without any
    value are left out.
    Raises SourceError naming `origin` for what is badly quoted or without a `needed` column.
    """
    blocks = _text_of(stream, about, origin)
    header_line, blocks, before = _split_header(blocks)
    names = _parse_header(header_line.decode(), separator, origin)
    _validate_columns(names, needed, origin, about)
    header = _numbered(names)
    lines_before = before + 1
    for body, last in _cut(blocks, min(_MOST_ROWS, _MOST_CELLS // (len(header) + 1))):
        table = _parse_body(body, header, separator, origin, lines_before)
        unreadable = not about.is_utf8 and UNREADABLE.encode() in body
        yield Chunk(table, lines_before + 1, unreadable, last)
        lines_before += body.count(b"\n")


def parse_table(
    content: bytes, separator: str, needed: Collection[str], origin: str, encoding: str | None = None
) -> pl.DataFrame:
    """The rows of a text that is one piece. Raises SourceError as `survey` and `read_chunks` do, and for a larger one."""
    stream = BytesIO(content)
    first = next(read_chunks(stream, survey(stream, origin, encoding), separator, needed, origin))
    if not first.last:
        raise SourceError(
            f"{origin} is too large: at most {MOST_IN_MEMORY:,} bytes or {_MOST_ROWS:,} rows are read of it"
        )
    return first.table


def beyond_columns(table: pl.DataFrame) -> list[str]:
    """Names of the columns for which the header of the file has none."""
    return [name for name in table.columns if name.startswith(BEYOND)]


def _unpacked(stream: BinaryIO, origin: str) -> Iterator[bytes]:
    try:
        yield from unpacked(stream)
    except DamagedError:
        raise UnfinishedFileError(f"{origin} {_CUT_OFF}") from None


def _text_of(stream: BinaryIO, about: Survey, origin: str) -> Iterator[bytes]:
    """The text in UTF-8, in blocks of whole lines that end in line feeds."""
    utf8 = as_utf8(counted(_unpacked(stream, origin), origin), about.encoding)
    lines = whole_lines(utf8, origin)
    return lines if about.newlines else (block.replace(b"\r", b"\n") for block in lines)


def _split_header(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes], int]:
    """The first line that is not blank, the blocks behind it, and how many lines stand before it."""
    before = 0
    for block in blocks:
        text = block.lstrip(b"\r\n")
        before += block[: len(block) - len(text)].count(b"\n")
        if text:
            header, _, rest = text.partition(b"\n")
            return header, chain([rest], blocks), before
    return b"", blocks, before


def _cut(blocks: Iterable[bytes], most_lines: int) -> Iterator[tuple[bytes, bool]]:
    """The blocks joined to pieces, and whether each is the last; cut outside of quotation marks while that is possible."""
    held: list[bytes] = []
    size = lines = quotes = 0
    for block in chain.from_iterable(_at_most(block, most_lines) for block in blocks):
        full = max(lines / most_lines, size / MOST_IN_MEMORY)
        if full >= 1 and (quotes % 2 == 0 or full >= 2):  # at twice a piece the mark is never closed
            yield b"".join(held), False
            held, size, lines, quotes = [], 0, 0, 0
        held.append(block)
        size, lines, quotes = size + len(block), lines + block.count(b"\n"), quotes + block.count(b'"')
    yield b"".join(held), True


def _at_most(block: bytes, most_lines: int) -> Iterator[bytes]:
    """A block in parts of at most so many lines."""
    if block.count(b"\n") <= most_lines:
        yield block
        return
    lines = block.split(b"\n")
    ended = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    for first in range(0, len(ended), most_lines):
        yield b"".join(ended[first : first + most_lines])


def _parse_header(line: str, separator: str, origin: str) -> list[str]:
    try:
        names = [name.strip() for name in next(csv.reader([line.rstrip("\r")], delimiter=separator), [])]
    except csv.Error as error:
        raise SourceError(f"{origin} has no header that can be read: {error}") from None
    if len(names) > _MOST_COLUMNS:
        raise SourceError(
            f"{origin} has {len(names):,} columns, and at most {_MOST_COLUMNS:,} are read: is the separator right?"
        )
    return names


def _numbered(names: list[str]) -> list[str]:
    """The names, a repeated one with its position, so that no column is lost."""
    unique: list[str] = []
    taken: set[str] = set()
    for index, name in enumerate(names):
        unique.append(name if name not in taken else f"{name} ({index + 1})")
        taken.add(unique[-1])
    return unique


def _validate_columns(header: list[str], needed: Collection[str], origin: str, about: Survey) -> None:
    missing = [name for name in dict.fromkeys(needed) if name not in header]
    if missing:
        wanted = ", ".join(f"{name!r}{did_you_mean(name, header)}" for name in missing[:4])
        wanted += f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        hint = "; is the separator right?" if len(header) == 1 else ""
        raise SourceError(f"{origin} has no column {wanted}; it has: {listed(header)}{hint}{about.doubt}")
    repeated = [name for name in needed if header.count(name) > 1]
    if repeated:
        raise SourceError(f"{origin} has more than one column {repeated[0]!r}; which one is meant cannot be known")


def _parse_body(body: bytes, header: list[str], separator: str, origin: str, lines_before: int) -> pl.DataFrame:
    width = len(header) + 1
    table = _read(body, separator, width, origin, lines_before)
    if table[:, -1].null_count() < table.height:
        widest = max(line.count(separator.encode()) for line in body.splitlines()) + 1
        width = min(max(widest, width), width + _MOST_BEYOND)
        table = _read(body, separator, width, origin, lines_before)
    table.columns = header + [f"{BEYOND}, {index})" for index in range(1, width - len(header) + 1)]
    table = table.select(column for column in table if not (column.name.startswith(BEYOND) and column.is_null().all()))
    return table.filter(~pl.all_horizontal(pl.all().is_null()))


def _read(body: bytes, separator: str, width: int, origin: str, lines_before: int) -> pl.DataFrame:
    """`width` columns of strings, under a header of our own because polars fits rows to the first line it sees."""
    header = separator.join(f"c{index}" for index in range(width)).encode() + b"\n"
    try:
        return pl.read_csv(header + body, separator=separator, infer_schema=False, truncate_ragged_lines=True)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        quoted = re.search(r"could not parse `(.+?)(?:\n|`)", str(error))
        at = body.find(quoted[1].encode()) if quoted else -1
        if quoted is None or at < 0:
            marks = "; are quotation marks out of place?" if b'"' in body else ""
            reason = str(error).splitlines()[0][:120]
            raise SourceError(f"{origin} is no table of separated values: {reason}{marks}") from None
        line = body[:at].count(b"\n") + lines_before + 1
        raise SourceError(
            f"{origin} line {line}: a quotation mark is out of place or never closed at {quoted[1][:40]!r}"
        ) from None


@dataclass(frozen=True, slots=True)
class Complaint:
    """One reason to refuse the rows at which `where` is True; `value` is a frame's column as it came."""

    column: str
    where: pl.Series
    value: pl.Series
    reason: str | pl.Series


def list_problems(complaints: Iterable[Complaint]) -> pl.DataFrame:
    """All complaints as problems (PROBLEM_SCHEMA), by row."""
    frames = [
        pl.select(
            row_number=pl.int_range(complaint.where.len(), dtype=pl.UInt32),
            column=pl.lit(complaint.column),
            value=complaint.value,
            reason=pl.lit(complaint.reason),
        ).filter(complaint.where)
        for complaint in complaints
        if complaint.where.any()
    ]
    empty = pl.DataFrame(schema=PROBLEM_SCHEMA)
    return pl.concat([empty, *frames]).sort("row_number", maintain_order=True)


def complaints_about_values(raw: pl.DataFrame, read: pl.DataFrame, readers: Iterable[ValueReader]) -> list[Complaint]:
    """Text where a number or a point of the compass belongs; `read` has what the readers' `unreadable` found."""
    return [
        Complaint(reader.column, read[reader.unreadable_name], raw[reader.column], reader.reason) for reader in readers
    ]


def complaints_about_layout(raw: pl.DataFrame, *, quoted: bool) -> list[Complaint]:
    """Fields beyond the header, and fields over several lines, where an open quotation mark may have swallowed rows.

    quoted: whether there is a quotation mark in the file at all; without one no field can go on over a line.
    """
    beyond = [
        Complaint(name, raw[name].is_not_null(), raw[name], "more fields than the header has")
        for name in beyond_columns(raw)
    ]
    reason = "goes on over several lines: a quotation mark that was never closed may have swallowed rows"
    if not quoted:
        return beyond
    return beyond + [
        Complaint(column.name, column.str.contains("\n", literal=True).fill_null(value=False), column, reason)
        for column in raw
    ]
