"""The text of a CSV file as frames of strings, which guesses nothing and drops nothing; or one line that says why not.

A file is read twice: `survey_text` finds out what it is (encoding, quotation marks, unfinished or not), `read_chunks` cuts
it into frames that fit into memory. At the end: what is wrong with the rows, as `Problem`s.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import BinaryIO

import numpy as np
import polars as pl

from daycast.errors import SourceError, did_you_mean, listed
from daycast.sources.batch import Problem
from daycast.sources.files.inbox import UnfinishedFileError
from daycast.sources.files.later_headers import OTHER_HEADER, LaterHeaders
from daycast.sources.files.layout import WHITESPACE, Layout, find_header, proposed_layout
from daycast.sources.streams import (
    MAX_IN_MEMORY_BYTES,
    PROPOSED_ENCODINGS,
    UNREADABLE,
    WESTERN,
    DamagedError,
    EncodingDetector,
    as_utf8,
    bom_encoding,
    decompressed,
    is_gzip,
    limited,
    proposed_encodings,
    whole_lines,
)
from daycast.sources.tables.short_forms import position_of
from daycast.sources.tables.values import ValueReader

EXTRA = "(beyond the header"  # begins the names of the columns after the last one in the header
FEWER = "(fields)"  # a column with "n of m" for rows in which nothing tells which of the m fields is missing
_MAX_EXTRA_COLUMNS = 1000  # a line of garbage must not become a million columns
_MAX_ROWS = 500_000  # of a chunk
_MAX_CELLS = 20_000_000  # of a chunk; each takes 16 bytes, even an empty one
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_SEARCHED_LINES = 100  # at the beginning, for a header that is not where the layout says
_HEAD = 1024  # bytes at the beginning that tell text from anything else
_TAIL = 4  # bytes at the end, enough for a line break in any encoding
_MORE = (
    "more fields than the header has: is the separator right, and is each text or number with a separator in it (a decimal "
    "comma) in quotation marks? Else export with another separator, and set separator and decimal"
)
_CUT_OFF = "is a damaged or incomplete gzip file"


@dataclass(frozen=True)
class Survey:
    """What must be known about the whole text before any row of it is read."""

    encoding: str
    declared: bool  # by the configuration or by a byte order mark
    is_utf8: bool  # every byte of it
    quoted: bool  # it has a quotation mark anywhere
    newlines: bool  # lines end in line feeds, not in carriage returns as on old Macintoshes
    ends_mid_line: bool  # plain text does while it is being copied
    words: tuple[bytes, ...] = ()  # the first with bytes that are not UTF-8

    @property
    def doubt(self) -> str:
        """A hint to add if something is not found in the text; empty for a text that is plainly UTF-8."""
        if self.is_utf8:
            return ""
        if self.declared:
            return f"; it was read as {self.encoding}"
        return f'; it is not all UTF-8 and was read as {self.encoding}: set encoding if it is another, such as "cp1251"'

    @property
    def way_out(self) -> str:
        """What to do about bytes that are no text in this encoding."""
        told = f": {proposed_encodings(self.words)}" if self.words and not self.declared else ""
        return f"they were damaged, or the file's encoding must be set{told}"

    def doubt_names(self, names: pl.Series) -> tuple[str, ...]:
        """One line if the encoding is a guess on which names depend."""
        if self.declared or self.is_utf8 or self.encoding != WESTERN:
            return ()
        odd = names.drop_nulls().unique(maintain_order=True)
        odd = odd.filter(odd.str.contains(r"[^\x00-\x7f]"))
        if odd.is_empty():
            return ()
        texts = {word: word.decode(WESTERN, errors="replace") for word in self.words}
        others = proposed_encodings((word for word, text in texts.items() if text in odd[0]), but=WESTERN)
        seen = f"station {odd[0]!r} was read as {WESTERN}, which is a guess, because the file is not UTF-8"
        return (f'{seen}: set encoding = "{WESTERN}" if it is right; if it is garbled, {others}',)


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a text: every column is a string under its name in the header, null where empty."""

    table: pl.DataFrame
    first_line: int  # in the file, from 1
    unreadable: bool  # it may have bytes that are not text
    last: bool
    header: list[str]  # the names of the first columns of the table, as they are written
    below: list[list[str]]  # the fields of the lines between header and rows
    doubts: tuple[str, ...] = ()  # what is odd about its lines


def ends_mid_line(content: bytes) -> bool:
    """Whether plain text ends without a line break."""
    return not content.rstrip(b"\x00").endswith((b"\n", b"\r"))  # a line break in UTF-16 may end in a zero


def survey_text(stream: BinaryIO, origin: str, encoding: str | None = None) -> Survey:
    """Look at a whole text, plain or gzip; `encoding` None means to detect it.

    Raises SourceError naming `origin` for what is not text, and for more bytes or a longer line than the limits allow. Raises
    UnfinishedFileError for an empty file, or a gzip file that ends too early.
    """
    head, tail, detector = b"", b"", EncodingDetector()
    empty, quoted, newlines = True, False, False
    known = encoding
    for lines in whole_lines(limited(_decompressed(stream, origin), origin), origin):
        if not head:
            head = lines[:_HEAD]
            known = known or bom_encoding(head)
        detector.add(lines)
        empty = empty and not lines.strip()
        quoted = quoted or b'"' in lines
        newlines = newlines or b"\n" in lines
        tail = (tail + lines[-_TAIL:])[-_TAIL:]
    if empty:
        raise UnfinishedFileError(f"{origin} is empty: a header was expected")
    if known is None and _BINARY.search(head):
        wide = " or is it UTF-16? Then set encoding = 'utf-16-le' or 'utf-16-be'" if b"\x00" in head[:4] else ""
        raise SourceError(f"{origin} is not text (it begins with {head[:8]!r}){wide}")
    return Survey(
        encoding=known or detector.encoding,
        declared=known is not None,
        is_utf8=detector.is_utf8 and (known or "utf-8").lower() in {"utf-8", "utf8", "utf-8-sig"},
        quoted=quoted,
        newlines=newlines,
        ends_mid_line=not is_gzip(stream) and ends_mid_line(tail),
        words=() if detector.has_utf8 else tuple(detector.words),
    )


def read_chunks(
    stream: BinaryIO,
    survey: Survey,
    layout: Layout,
    needed: Collection[str],
    origin: str,
    copies: int = 1,
    dated: str | None = None,
) -> Iterator[Chunk]:
    """The rows of a text in chunks that fit into memory `copies` times; at least one. `survey` is that of `survey_text`.

    `dated` is the needed column that has digits in each row, such as a time: by it `LaterHeaders` are found. Short rows end in
    nulls; between blanks they are told in a column FEWER, because there the missing field may be any. Fields beyond the header
    stand in columns whose names begin with EXTRA. Lines without any value are left out. Raises SourceError naming `origin` for
    misplaced quotation marks, or if a `needed` column is missing.
    """
    written, below, blocks, lines_before = find_header(_utf8_lines(stream, survey, origin), layout, needed, origin)
    names = _name_positions(written, needed, origin)
    if missing := [name for name in dict.fromkeys(needed) if name not in names]:
        raise _missing_columns(missing, names, layout, needed, survey, stream, origin)
    _validate_single(names, needed, origin)
    header = _unique_names(names)
    width = max(at for at, name in enumerate(names, 1) if name)  # a separator may end each line
    later = LaterHeaders(layout, written, [names.index(name) for name in needed], names.index(dated) if dated else None)
    blocks = (layout.plain(later.uncomment(block)) for block in blocks)
    for body, last in _group_blocks(blocks, max(min(_MAX_ROWS, _MAX_CELLS // (len(header) + 1)) // copies, 1)):
        table = _parse_body(body, header, layout, origin, lines_before)
        doubts = _doubt_short_rows(table, body, layout, origin, lines_before, width)
        table = _tell_fewer(later.mark(table, body, lines_before), layout, width)
        unreadable = not survey.is_utf8 and UNREADABLE.encode() in body
        yield Chunk(table, lines_before + 1, unreadable, last, written, below, doubts)
        lines_before += body.count(b"\n")


def parse_table(
    content: bytes, separator: str, needed: Collection[str], origin: str, encoding: str | None = None
) -> pl.DataFrame:
    """The rows of a text that is a single chunk.

    Raises SourceError as `survey_text` and `read_chunks` do, and for a text that is larger.
    """
    stream = BytesIO(content)
    first = next(
        read_chunks(stream, survey_text(stream, origin, encoding), Layout(separator=separator), needed, origin)
    )
    if not first.last:
        raise SourceError(
            f"{origin} is too large: at most {MAX_IN_MEMORY_BYTES:,} bytes or {_MAX_ROWS:,} rows are read of it"
        )
    return first.table


def extra_columns(table: pl.DataFrame) -> list[str]:
    """The names of the columns for which the file's header has no name."""
    return [name for name in table.columns if name.startswith(EXTRA)]


def _decompressed(stream: BinaryIO, origin: str) -> Iterator[bytes]:
    try:
        yield from decompressed(stream)
    except DamagedError:
        raise UnfinishedFileError(f"{origin} {_CUT_OFF}") from None


def _utf8_lines(stream: BinaryIO, survey: Survey, origin: str) -> Iterator[bytes]:
    """The text in UTF-8, in blocks of whole lines that end in line feeds."""
    utf8 = as_utf8(limited(_decompressed(stream, origin), origin), survey.encoding)
    lines = whole_lines(utf8, origin)
    return lines if survey.newlines else (block.replace(b"\r", b"\n") for block in lines)


def _group_blocks(blocks: Iterable[bytes], max_lines: int) -> Iterator[tuple[bytes, bool]]:
    """The blocks joined into the text of a chunk each, and whether it is the last.

    A chunk ends outside quotation marks if possible.
    """
    held: list[bytes] = []
    size = lines = quotes = 0
    for block in chain.from_iterable(_split_block(block, max_lines) for block in blocks):
        full = max(lines / max_lines, size / MAX_IN_MEMORY_BYTES)
        if full >= 1 and (quotes % 2 == 0 or full >= 2):  # at twice the size, assume that the mark is never closed
            yield b"".join(held), False
            held, size, lines, quotes = [], 0, 0, 0
        held.append(block)
        size, lines, quotes = size + len(block), lines + block.count(b"\n"), quotes + block.count(b'"')
    yield b"".join(held), True


def _split_block(block: bytes, max_lines: int) -> Iterator[bytes]:
    """A block in parts of at most `max_lines` lines."""
    if block.count(b"\n") <= max_lines:
        yield block
        return
    lines = block.split(b"\n")
    ended = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    for first in range(0, len(ended), max_lines):
        yield b"".join(ended[first : first + max_lines])


def _name_positions(names: list[str], needed: Collection[str], origin: str) -> list[str]:
    """The names, those of needed columns that are known by their positions replaced. Raises SourceError if one is unclear."""
    named = list(names)
    for column in needed:
        position = position_of(column)
        if position is None or position > len(names):
            continue
        other = names[position - 1]
        if other != column and (column in names or (other in needed and names.count(other) == 1)):
            raise SourceError(f"{origin}: column {position} is called {other!r}; give either its position or its name")
        named[position - 1] = column
    return named


def _unique_names(names: list[str]) -> list[str]:
    """The names, a repeated one with its position added, so that no column is lost."""
    unique: list[str] = []
    used: set[str] = set()
    for index, name in enumerate(names):
        unique.append(name if name not in used else f"{name} ({index + 1})")
        used.add(unique[-1])
    return unique


def _missing_columns(
    missing: list[str],
    header: list[str],
    layout: Layout,
    needed: Collection[str],
    survey: Survey,
    stream: BinaryIO,
    origin: str,
) -> SourceError:
    """The error for columns that the header lacks, with the setting under which it has them where one is found."""
    wanted = ", ".join(f"{name!r}{'' if position_of(name) else did_you_mean(name, header)}" for name in missing[:4])
    wanted += f" and {len(missing) - 4} more" if len(missing) > 4 else ""
    hint = _encoding_hint(survey, missing, stream, origin) if not survey.is_utf8 else ""
    if not hint:
        head = next(_utf8_lines(stream, survey, origin), b"").decode().split("\n")[:_SEARCHED_LINES]
        hint = proposed_layout(head, layout, [name for name in needed if position_of(name) is None])
    if not hint and len(header) == 1:
        hint = "; is the separator right?"
    return SourceError(f"{origin} has no column {wanted}; it has: {listed(header)}{hint or survey.doubt}")


def _validate_single(header: list[str], needed: Collection[str], origin: str) -> None:
    """Raise SourceError for a needed column that the header has more than once."""
    repeated = [name for name in needed if header.count(name) > 1]
    if repeated:
        positions = [str(index) for index, name in enumerate(header, 1) if name == repeated[0]]
        raise SourceError(
            f"{origin} has more than one column {repeated[0]!r}; so it is unclear which one is meant: give its position, "
            f"{listed(positions)}"
        )


def _encoding_hint(survey: Survey, missing: Collection[str], stream: BinaryIO, origin: str) -> str:
    """The encoding in which the beginning of the text has all `missing` names; empty if it is none of the usual ones."""
    head = next(whole_lines(limited(_decompressed(stream, origin), origin), origin), b"")
    for encoding in PROPOSED_ENCODINGS:
        text = head.decode(encoding, errors="replace")
        if all(name in text for name in missing):
            return (
                f'; it was read as {survey.encoding}, and in another encoding it has them: set encoding = "{encoding}"'
            )
    return ""


def _parse_body(body: bytes, header: list[str], layout: Layout, origin: str, lines_before: int) -> pl.DataFrame:
    if layout.widths:
        table = layout.cut(_read_lines(body))
        table.columns = header
        return table.filter(~pl.all_horizontal(pl.all().is_null()))
    separator, width = layout.mark, len(header) + 1
    table = _read_strings(body, separator, width, origin, lines_before)
    if table[:, -1].null_count() < table.height:
        widest = max(line.count(separator.encode()) for line in body.splitlines()) + 1
        width = min(max(widest, width), width + _MAX_EXTRA_COLUMNS)
        table = _read_strings(body, separator, width, origin, lines_before)
    table.columns = header + [f"{EXTRA}, {index})" for index in range(1, width - len(header) + 1)]
    table = table.select(column for column in table if not (column.name.startswith(EXTRA) and column.is_null().all()))
    return table.filter(~pl.all_horizontal(pl.all().is_null()))


def _tell_fewer(table: pl.DataFrame, layout: Layout, width: int) -> pl.DataFrame:
    """The table, with a column FEWER if some of its rows, whose fields are parted by blanks, have fewer than the header."""
    named = table.columns[:width]
    if layout.separator != WHITESPACE or layout.widths or not table[named[-1]].null_count():
        return table
    fields = pl.max_horizontal(pl.when(pl.col(name).is_not_null()).then(at) for at, name in enumerate(named, 1))
    is_other = pl.col(OTHER_HEADER).is_not_null() if OTHER_HEADER in table.columns else pl.lit(value=False)
    fewer = pl.when((fields < width) & ~is_other).then(pl.format("{} of {}", fields, pl.lit(width)))
    told = table.select(fewer.alias(FEWER)).to_series()
    return table if told.is_null().all() else table.with_columns(told)


def _doubt_short_rows(
    table: pl.DataFrame, body: bytes, layout: Layout, origin: str, lines_before: int, width: int
) -> tuple[str, ...]:
    """One line if some of the rows have fewer fields than the header, whose last ones are then taken for empty."""
    plain = layout.separator != WHITESPACE and not layout.widths
    if not plain or table.is_empty() or not table[:, width - 1].null_count():
        return ()
    fields, lines = _count_fields(body, layout.mark)
    short = fields < width
    if len(fields) != table.height or not short.any() or short.all():  # other quotation marks than polars knows
        return ()
    count, first = int(short.sum()), int(lines[short][0]) + lines_before + 1
    rows = "1 row has" if count == 1 else f"{count:,} rows have"
    seen = f"{origin}: {rows} fewer fields than the header, first line {first:,}: {fields[short][0]} of {width}"
    return (f"{seen}; the last ones are taken for empty, so see whether one is missing before them",)


def _count_fields(body: bytes, separator: str) -> tuple[np.ndarray, np.ndarray]:
    """How many fields each row has that is not blank, and the number of its line from 0; quotation marks hold fields together."""
    text = np.frombuffer(body if body.endswith(b"\n") else body + b"\n", np.uint8)
    breaks, parts = text == ord("\n"), text == ord(separator)
    inner = np.zeros(0, np.intp)  # line breaks within quotation marks
    if b'"' in body:
        outside = np.cumsum(text == ord('"'), dtype=np.uint8) % 2 == 0
        inner = np.flatnonzero(breaks & ~outside)
        breaks, parts = breaks & outside, parts & outside
    ends, marks = np.flatnonzero(breaks), np.flatnonzero(parts)
    starts = np.concatenate([[0], ends[:-1] + 1])
    separators = np.diff(np.searchsorted(marks, ends), prepend=0)
    returns = (text[ends - 1] == ord("\r")) & (ends > starts)
    filled = ends - starts - separators - returns > 0
    lines = np.arange(len(ends)) + np.searchsorted(inner, starts)
    return separators[filled] + 1, lines[filled]


def _read_strings(body: bytes, separator: str, width: int, origin: str, lines_before: int) -> pl.DataFrame:
    """`width` columns of strings.

    The text gets a header of our own, because polars fits all rows to the first line it sees.
    """
    header = separator.join(f"c{index}" for index in range(width)).encode() + b"\n"
    try:
        return pl.read_csv(header + body, separator=separator, infer_schema=False, truncate_ragged_lines=True)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        quoted = re.search(r"could not parse `(.+?)(?:\n|`)", str(error))
        at = body.find(quoted[1].encode()) if quoted else -1
        if quoted is None or at < 0:
            marks = "; are quotation marks out of place?" if b'"' in body else ""
            reason = str(error).splitlines()[0][:120]
            raise SourceError(f"{origin} is not a table of separated values: {reason}{marks}") from None
        line = body[:at].count(b"\n") + lines_before + 1
        raise SourceError(
            f"{origin} line {line}: a quotation mark is out of place or never closed at {quoted[1][:40]!r}"
        ) from None


def _read_lines(body: bytes) -> pl.Series:
    lines = body.replace(b"\r\n", b"\n").decode(errors="replace").split("\n")
    return pl.Series("line", lines, pl.String)


def value_problems(raw: pl.DataFrame, read: pl.DataFrame, readers: Iterable[ValueReader]) -> list[Problem]:
    """Text where a number, a compass point or a unit belongs; `read` has what `read_values` makes."""
    texts = [
        Problem(reader.column, where, raw[reader.column], reader.explain(raw) if where.any() else reader.reason)
        for reader, where in ((reader, read[reader.unreadable_name]) for reader in readers)
    ]
    selections = [(reader, reader.selection) for reader in readers if reader.selection and reader.selection.unit_column]
    unstated = [
        Problem(
            selection.unit_column or "",
            raw.select(reader.unstated_unit()).to_series(),
            raw[selection.unit_column or ""],
            f"no unit, though other rows of {selection.name!r} have one: declare what holds without, "
            f'{reader.variable} = {{ column = "{selection.name}", unit = "…" }}',
        )
        for reader, selection in selections
    ]
    return [*texts, *unstated] + [
        Problem(
            selection.unit_column or "",
            raw.select(selection.unknown_unit()).to_series(),
            raw[selection.unit_column or ""],
            f"no unit of {reader.variable}; possible are {', '.join(selection.units)}",
        )
        for reader, selection in selections
    ]


def layout_problems(raw: pl.DataFrame, *, quoted: bool) -> list[Problem]:
    """Rows with fewer fields, rows under a later header, fields beyond the header, and fields over several lines.

    Of the last an unclosed quotation mark may have swallowed rows.
    `quoted` says whether the file has any quotation mark; without one, no field can span lines.
    """
    first = pl.repeat(value=True, n=len(raw), eager=True)
    found = []
    if FEWER in raw.columns:
        reason = "fewer fields than the header: {}, and nothing tells which is missing: set widths, or have it marked (missing)"
        row = pl.concat_str(pl.exclude(FEWER), separator=" ", ignore_nulls=True)
        told = raw.select(row=row, reason=pl.format(reason, FEWER))
        found = [Problem(FEWER, raw[FEWER].is_not_null(), told["row"], told["reason"])]
    if OTHER_HEADER in raw.columns:
        first = raw[OTHER_HEADER].is_null()
        way_out = "cut the file before that line, so that each part begins with its header"
        reason = f"names the columns of this row, and not all are where the first header has them: {way_out}"
        found.append(Problem(OTHER_HEADER, ~first, raw[OTHER_HEADER], reason))
    beyond = found + [Problem(name, first & raw[name].is_not_null(), raw[name], _MORE) for name in extra_columns(raw)]
    reason = "goes on over several lines: a quotation mark that was never closed may have swallowed rows"
    if not quoted:
        return beyond
    return beyond + [
        Problem(column.name, column.str.contains("\n", literal=True).fill_null(value=False), column, reason)
        for column in raw
    ]
