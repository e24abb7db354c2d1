"""The lines of a text: in which encoding, behind which separators, where header and rows are.

`read_sample` reads the beginning of a file and finds the settings of its layout (daycast.sources.files.layout).
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from daycast.errors import SourceError
from daycast.sources.files.layout import WHITESPACE, Layout
from daycast.sources.files.sheets import as_text
from daycast.sources.guess.columns import best_match, means, unit_in
from daycast.sources.guess.widths import cut, find_widths, has_ruler, names_above
from daycast.sources.streams import (
    PROPOSED_ENCODINGS,
    WESTERN,
    DamagedError,
    EncodingDetector,
    bom_encoding,
    decompressed,
    encodings_of,
    open_bytes,
)

_BLOCKS = 2  # of a file are looked at, a megabyte each
_MAX_LINES, _MAX_HEADER = 20_000, 1000
_HEADER_ROWS = 5  # at most: names, units, types
_ALIKE = 0.95  # of lines have as many words as most, if blanks part them
_SEPARATORS = (",", ";", "\t", "|", WHITESPACE)
_NO_TABLES = {"{": "JSON", "[{": "JSON", "<": "HTML or XML"}  # by how they begin
_COMMENTS = ("#", "%", "!", "//")
_NUMBER = re.compile(r"[+\u2212-]?(?:\d[\d ]*(?:[.,]\d*)*|[.,]\d+)(?:[eE][+-]?\d+)?")
_WITH_UNIT = re.compile(rf"{_NUMBER.pattern} ?([^\d\s.,;]\S{{0,5}})")
_CLOCK = (
    r"\d{1,2}[:h]\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[aApP]\.?[mM]?\.?| ?Uhr)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?|\d{1,2}h"
)
_DAY = re.compile(rf"\d{{1,4}}([-/.])(?:\d{{1,2}}|[A-Za-z]{{3}})\1\d{{1,4}}(?:(?: - |[ T_-]+)(?:{_CLOCK}))?")
_NAMED_DAY = (
    r"(?:[A-Za-z]{3,9},? )?(?:\d{1,2}[ -]?[A-Za-z]{3,9}[ -]?\d{4}|[A-Za-z]{3,9} \d{1,2},? \d{4})"
    rf"(?:,?[ T]+(?:{_CLOCK}))?"
)
_TIME = re.compile(rf"{_DAY.pattern}|{_NAMED_DAY}|{_CLOCK}|\d{{8}}T\d{{4,6}}Z?")


@dataclass
class Sample:
    """The beginning of a table."""

    table: pl.DataFrame  # text without blanks around it, null where empty
    settings: dict[str, Any] = field(default_factory=dict)  # of its layout, where they are not the default
    doubts: dict[str, str] = field(default_factory=dict)  # by setting: what is a guess
    units: dict[str, str] = field(default_factory=dict)  # by column, of a line below the header
    repeated: dict[str, str] = field(default_factory=dict)  # by column known by its position: the name that it shares
    head: str = ""  # the text before the rows, header included
    typed_times: dict[str, pl.Datetime] = field(default_factory=dict)  # the columns of times that have a type


def read_sample(path: Path, known: dict[str, Any] | None = None) -> Sample:
    """The beginning of a text file or sheet; `known` settings of its layout are taken as they are.

    Raises SourceError for a file that cannot be read or holds no table.
    """
    text, encoding = _decode(_read_head(path))
    for mark, kind in _NO_TABLES.items():
        if text.lstrip().startswith(mark):
            raise SourceError(f"{path.name} is {kind}, and daycast reads tables: save it as CSV or Parquet")
    lines = [line.rstrip("\r") for line in text.split("\n")][:_MAX_LINES]
    sample = _lay_out(lines, dict(known or {}), path.name)
    if encoding:
        sample.settings["encoding"] = encoding
        sample.doubts["encoding"] = "it is not UTF-8, and this one makes sense"
    return sample


def read_text(path: Path) -> str:
    """The beginning of a file as text. Raises SourceError if it cannot be read."""
    return _decode(_read_head(path))[0]


def _read_head(path: Path) -> bytes:
    with open_bytes(path, path.name) as file:
        try:
            blocks = list(islice(decompressed(as_text(file, path.name, None, ",")), _BLOCKS + 1))
        except DamagedError:
            raise SourceError(f"{path.name} is damaged: its gzip ends too early") from None
    head = b"".join(blocks[:_BLOCKS])
    return head[: head.rfind(b"\n") + 1] if len(blocks) > _BLOCKS else head


def _decode(head: bytes) -> tuple[str, str | None]:
    """The text, and its encoding where that has to be declared."""
    if found := bom_encoding(head):
        return head.decode(found, errors="replace").removeprefix("\ufeff"), None
    for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if zeros.count(0) * 4 > len(head):
            return head.decode(name, errors="replace"), name
    detector = EncodingDetector()
    detector.add(head)
    if detector.is_utf8 or detector.encoding == WESTERN:
        return head.decode("utf-8" if detector.is_utf8 else WESTERN, errors="replace"), None
    texts = {name: head.decode(name, errors="replace") for name in PROPOSED_ENCODINGS}
    known = {name: _known_words(text) for name, text in texts.items()}
    likely = next(iter(encodings_of(detector.words)), None) if not any(known.values()) else None
    best = likely or max(texts, key=lambda name: (known[name], -texts[name].count("\ufffd")))
    return texts[best], best


def _known_words(text: str) -> int:
    """How many of the first fields name something that weather files have."""
    fields = re.split(r"[,;\t|\n]", text[:5000])
    return sum(not one.isascii() and (best_match(one) is not None or means("time", one)) for one in fields)


def _lay_out(lines: list[str], known: dict[str, Any], origin: str) -> Sample:
    comment = known.get("comment") or next(
        (mark for mark in _COMMENTS if any(_begins(line, mark) for line in lines[:_MAX_HEADER])), None
    )
    above = known.get("lines_before_header", 0)
    plain = [
        _Line(at, line) for at, line in enumerate(lines) if at >= above and line.strip() and not _begins(line, comment)
    ]
    separators = (known["separator"],) if "separator" in known else _SEPARATORS
    tables = {separator: _split(plain, separator) for separator in separators}
    separator = max(tables, key=lambda one: _consistency(tables[one]))
    text = _Text(lines, plain, tables[separator], separator, comment)
    if separator == WHITESPACE and "separator" not in known:
        text = _lined_up(text, origin)
    if not _consistency(text.rows):
        raise SourceError(f"{origin} has no table that daycast could make out: write its [[sources]] table by hand")
    return _find_rows(text, known, origin)


def _lined_up(text: "_Text", origin: str) -> "_Text":
    """The text as columns of fixed width where cells are empty or hold blanks. Raises SourceError if it has none either."""
    body, lines = _last(text.rows), [line.text for line in text.plain]
    alike = sum(len(row) == _width(body) for row in body) / max(len(body), 1)
    if alike > _ALIKE and not has_ruler(lines):
        return text
    if widths := find_widths(lines):
        rows = cut(lines, widths)
        if _consistency(rows) > _consistency(text.rows) or has_ruler(lines):
            return replace(text, rows=rows, separator=",", widths=widths)
    if alike <= _ALIKE and _width(body) > 1:
        counts = sorted({len(row) for row in body})
        raise SourceError(
            f"{origin}: lines have {counts[0]} to {counts[-1]} words, so that cells are empty or hold blanks, and no columns "
            "line up: write its [[sources]] table by hand, with the widths of the columns: widths = [8, 6, …]"
        )
    return text


@dataclass
class _Line:
    at: int  # from 0, in the file
    text: str


def _begins(line: str, mark: str | None) -> bool:
    return mark is not None and line.lstrip().startswith(mark)


def _split(lines: Sequence[_Line], separator: str) -> list[list[str]]:
    layout = Layout(separator=separator)
    texts = (
        (layout.plain(line.text.encode()).decode() for line in lines)
        if separator == WHITESPACE
        else (line.text for line in lines)
    )
    rows = (next(csv.reader([text], delimiter=layout.mark), []) for text in texts)
    return [[cell.strip() for cell in row] for row in rows]


def is_value(cell: str) -> bool:
    """Whether a cell is a number or a time."""
    return _NUMBER.fullmatch(cell) is not None or _TIME.fullmatch(cell) is not None


def _has_value(cell: str) -> bool:
    """Whether a cell is a value, perhaps with its unit."""
    marked = _WITH_UNIT.fullmatch(cell)
    return is_value(cell) or (marked is not None and unit_in(marked[1]) is not None)


def _consistency(rows: list[list[str]]) -> float:
    """How much the last rows look like a table: rows of one length, of numbers and times."""
    body = _last(rows)
    width = _width(body)
    if width < 2:
        return 0.0
    alike = [row for row in body if len(row) == width]
    cells = [cell for row in alike for cell in row if cell]
    return len(alike) / len(body) * (0.1 + sum(map(_has_value, cells)) / max(len(cells), 1))


def _last(rows: list[list[str]]) -> list[list[str]]:
    return rows[-min(max(len(rows) // 3, 2), 500) :]


def _width(rows: list[list[str]]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0] if rows else 0


@dataclass
class _Text:
    lines: list[str]
    plain: list[_Line]  # neither blank nor comments
    rows: list[list[str]]  # the fields of each
    separator: str
    comment: str | None
    widths: tuple[int, ...] = ()  # of the columns, in place of a separator


def _find_rows(text: _Text, known: dict[str, Any], origin: str) -> Sample:
    """The sample, whose rows begin with the first that has as many values as most. Raises SourceError for a header alone."""
    rows, width = text.rows, _width(_last(text.rows))
    values = [sum(map(is_value, row)) if len(row) == width else 0 for row in rows]
    if len(rows) <= _HEADER_ROWS and not any(values) and any(map(_known_names, rows)):
        raise SourceError(f"{origin} has a header and no rows: give a file with a few readings, a day of them or more")
    usual = median(sum(map(is_value, row)) for row in _last(rows) if len(row) == width)
    fitting = (
        at
        for at, count in enumerate(values)
        if count >= max(usual / 2, 1)
        and not _is_dated_below(rows, at)
        and (values[at + 1 : at + 2] != [0] or not _is_header(rows[at + 1]))
    )
    first = next(fitting, len(rows) - 1)
    top = first
    header_width = len(rows[first - 1]) if first and abs(len(rows[first - 1]) - width) <= 1 else -1
    while top > 0 and len(rows[top - 1]) == header_width and not _is_apart(text, top, first):
        top -= 1
    if text.widths:
        rows[top:first] = [names_above(line.text, text.widths) for line in text.plain[top:first]]
    start = text.plain[first].at
    names, units, settings = _names(text, top, first, width)
    settings = {} | ({} if text.separator == "," else {"separator": text.separator}) | settings | known
    if text.widths:
        settings |= {
            "widths": list(text.widths),
            "names": _unique(names) if names else [],
            "lines_before_header": start,
        }
        settings.pop("lines_after_header", None)
    names = list(known.get("names") or names or [""] * width)
    table = _frame(names + [""] * (width - len(names)), rows[first:])
    repeated = {column: name for column, name in zip(_unique(names), names, strict=True) if name and column != name}
    return Sample(
        table,
        settings,
        units=dict(zip(_unique(names), units, strict=False)),
        repeated=repeated,
        head="\n".join(text.lines[:start]),
    )


def _is_apart(text: _Text, top: int, first: int) -> bool:
    """Whether a header begins at `top`, because a blank line stands above it."""
    return top < first and any(not line.strip() for line in text.lines[text.plain[top - 1].at + 1 : text.plain[top].at])


def _is_header(row: Sequence[str]) -> bool:
    return _known_names(row) > 1


def _known_names(row: Sequence[str]) -> int:
    """How many of the names are those of variables and times."""
    return sum(best_match(name) is not None or means("time", name) for name in row)


def _is_dated_below(rows: list[list[str]], at: int) -> bool:
    """Whether a row lacks the day that all rows below it have in one column: it is no row then, but a header of numbers."""
    below = [row for row in rows[at + 1 : at + 6] if len(row) == len(rows[at])]
    return any(
        cell and not _DAY.fullmatch(cell) and all(_DAY.fullmatch(row[column]) for row in below)
        for column, cell in enumerate(rows[at] if below else [])
    )


def _names(text: _Text, top: int, first: int, width: int) -> tuple[list[str], list[str], dict[str, Any]]:
    """The names, the units below them, and the settings by which the header is found; `top` to `first` are its rows."""
    above, start = text.rows[top:first], text.plain[first].at
    settings: dict[str, Any] = {}
    if text.comment and any(_begins(line, text.comment) for line in text.lines):
        settings["comment"] = text.comment
    if not above and (commented := _names_in_comments(text, width)):
        return commented[0], _units(commented[1:]), settings | {"header_in_comment": True}
    if not above:
        return [], [], settings | {"names": []} | ({"lines_before_header": start} if text.plain[0].at < start else {})
    header = max(range(len(above)), key=lambda at: (_known_names(above[at]), len(set(filter(None, above[at])))))
    names, units, before = above[header], _units(above[header + 1 :]), text.plain[top + header].at
    if header and len(set(names)) < len(names):
        names = _joined(above[header - 1], names)
        return names, units, settings | {"names": _unique(names), "lines_before_header": start}
    if any(line.strip() and not _begins(line, text.comment) for line in text.lines[:before]):
        settings["lines_before_header"] = before
    if header + 1 < len(above):
        settings["lines_after_header"] = start - before - 1
    return names, units, settings


def _units(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first row with units."""
    return next((list(row) for row in rows if any(unit_in(cell) for cell in row)), [])


def _joined(upper: Sequence[str], lower: Sequence[str]) -> list[str]:
    """The names of two lines: Temp above Out, or groups above their members."""
    groups: list[str] = []
    are_few = 2 * sum(map(bool, upper)) <= len(lower)
    for group in [*upper, *[""] * (len(lower) - len(upper))]:
        groups.append(group or (groups[-1] if are_few and groups else ""))
    return [
        name if name.startswith(group) else f"{group} {name}".strip()
        for group, name in zip(groups, lower, strict=False)
    ]


def _names_in_comments(text: _Text, width: int) -> list[list[str]]:
    """The comments before the rows with as many fields as these have: first the one with most names that are known."""
    mark = text.comment
    texts = [_Line(0, line.lstrip()[len(mark) :]) for line in text.lines[:_MAX_HEADER] if mark and _begins(line, mark)]
    found = [row for row in _split(texts, text.separator) if abs(len(row) - width) <= 1 and any(row)]
    found.reverse()
    return sorted(found, key=_known_names, reverse=True)


def _unique(names: Sequence[str]) -> list[str]:
    """The names; those that are empty or repeated become positions, as daycast knows them."""
    return [name if name and names.count(name) == 1 else f"column {at}" for at, name in enumerate(names, 1)]


def _frame(names: Sequence[str], rows: list[list[str]]) -> pl.DataFrame:
    width = len(names)
    cells = [[cell or None for cell in row[:width]] + [None] * (width - len(row)) for row in rows]
    return pl.DataFrame(cells, schema=dict.fromkeys(_unique(names), pl.String), orient="row")
