"""Lines of fixed width: where their columns begin and end, as far as the lines show it.

Columns are told apart by positions at which every line has a blank, or by a line of dashes below the header.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import polars as pl

from daycast.sources.files.layout import Layout

_WORD = re.compile(r"\S+")
_RULER = re.compile(r"\s*[-=]{2,}(?:\s+[-=]+)+\s*")
_MOST = 5000  # lines that are looked at
_FEWEST = 3  # columns, and lines

Span = tuple[int, int]


def find_widths(lines: Sequence[str]) -> tuple[int, ...]:
    """The widths of the columns of lines; empty if no columns line up in them."""
    if any("\t" in line for line in lines[:_MOST]):
        return ()
    ruler = next((number for number, line in enumerate(lines) if _RULER.fullmatch(line)), None)
    body = lines[-min(2 * len(lines) // 3, _MOST) :] if ruler is None else lines[ruler + 1 :][:_MOST]
    for spans in ([] if ruler is None else _spans([lines[ruler]]), _join_words(_spans(body), body)):
        widths = _between(spans, body) if len(spans) >= _FEWEST and len(body) >= _FEWEST else ()
        if widths and not _cuts_words(widths, body):
            return widths
    return ()


def has_ruler(lines: Sequence[str]) -> bool:
    """Whether a line of dashes says where columns begin and end."""
    return any(_RULER.fullmatch(line) for line in lines)


def cut(lines: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """The cells of lines, without blanks around them."""
    table = Layout(widths=tuple(widths)).cut(pl.Series(lines, dtype=pl.String)).fill_null("")
    return [list(row) for row in table.rows()]


def names_above(line: str, widths: Sequence[int]) -> list[str]:
    """The words of a header, by the column that each stands above for the most part."""
    edges = list(pairwise(accumulate(widths, initial=0)))
    names: list[list[str]] = [[] for _ in edges]
    for word in _WORD.finditer(line):
        shared = [min(end, word.end()) - max(start, word.start()) for start, end in edges]
        names[shared.index(max(shared))].append(word[0])
    return [" ".join(words) for words in names]


def _spans(lines: Sequence[str]) -> list[Span]:
    """The stretches between positions where all lines are blank."""
    filled: set[int] = set()
    for line in lines:
        for word in _WORD.finditer(line):
            filled.update(range(*word.span()))
    shown = "".join("x" if at in filled else " " for at in range(max(filled, default=-1) + 1))
    return [word.span() for word in _WORD.finditer(shown)]


def _join_words(spans: Sequence[Span], lines: Sequence[str]) -> list[Span]:
    """The spans, those in one that are words beside each other, such as Oak and Hill."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and start == joined[-1][1] + 1 and all(_is_words(line[joined[-1][0] : end]) for line in lines):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _is_words(text: str) -> bool:
    return not any(sign.isdigit() for sign in text) and any(map(str.isalpha, text))


def _cuts_words(widths: Sequence[int], lines: Sequence[str]) -> bool:
    """Whether a column ends within a word."""
    edges = list(accumulate(widths))[:-1]
    return any(not line[at - 1 : at + 1].count(" ") and line[at:] for line in lines for at in edges)


def _between(spans: Sequence[Span], lines: Sequence[str]) -> tuple[int, ...]:
    """The widths of columns, which end where one of the spans does: numbers may grow to the left, words to the right."""
    edges = [0, *_edges(spans, lines), max([spans[-1][1], *map(len, lines)])]
    return tuple(end - start for start, end in pairwise(edges))


def _edges(spans: Sequence[Span], lines: Sequence[str]) -> Iterator[int]:
    for (first, before), (start, end) in pairwise(spans):
        cells = [line[start:end].ljust(end - start) for line in lines if line[start:end].strip()]
        begin, close = (all(cell[at] != " " for cell in cells) for at in (0, -1))
        follows_words = any(_is_words(line[first:before]) for line in lines)
        yield before if close and not (begin and follows_words) else start
