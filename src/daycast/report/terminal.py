"""Plain text for a terminal of some width: paragraphs, named lines and tables, measured in the cells that a terminal draws.

Wide characters (漢) take two cells and combining ones none, so `len` does not say how long a line is.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Literal

from rich.cells import cell_len, chop_cells, set_cell_size

Side = Literal["left", "right"]
Column = tuple[str, Side]

GAP = "  "  # between columns
CUT = "…"  # stands at the end of what was cut


def printable(text: str) -> str:
    """The text with everything that a terminal would obey or hide (control and format characters) written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cells(text: str) -> int:
    """How many cells of a line the text takes."""
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, width: int) -> str:
    """The text, or its beginning with an ellipsis where it takes more than `width` cells."""
    return text if cells(text) <= width else set_cell_size(text, width - 1).rstrip() + CUT


def wrap(text: str, width: int) -> list[str]:
    """The text in printable lines of at most `width` cells, broken between words, and inside words longer than a line."""
    lines = [""]
    for word in printable(text).split():
        if not lines[-1]:
            lines.pop()
        elif cells(lines[-1]) + 1 + cells(word) <= width:
            word = f"{lines.pop()} {word}"  # noqa: PLW2901 – the line so far and the word are one piece now
        lines += [word] if cells(word) <= width else chop_cells(word, width)
    return lines


def wrap_text(text: str, width: int) -> str:
    """A paragraph of at most `width` cells a line."""
    return "\n".join(wrap(text, width))


def render_pairs(pairs: Sequence[tuple[str, str]], width: int, names: int = 10) -> str:
    """Names with what belongs to each, wrapped beside it; a name that repeats the one above is left out.

    names: the cells that names have; what belongs to them begins after those.
    """
    lines = []
    for i, (name, text) in enumerate(pairs):
        shown = "" if i and pairs[i - 1][0] == name else cut(name, names)
        for line in wrap(text, width - names - len(GAP)):
            lines.append((_pad(shown, names, "left") + GAP + line).rstrip())
            shown = ""
    return "\n".join(lines)


def render_table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int, below: Sequence[str] | None = None
) -> str:
    """A table without rules, in lines of at most `width` cells. Where it must be, texts wrap between words; numbers never do.

    columns: heading and side, `left` for texts and `right` for numbers. below: a text under each row, indented.
    """
    table = [[heading for heading, _ in columns], *map(list, rows)]
    sides = [side for _, side in columns]
    widths, gap = _squeeze(list(zip(*table, strict=True)), sides, width)
    lines = []
    for i, row in enumerate(table):
        wrapped = [wrap(cell, most) for cell, most in zip(row, widths, strict=True)]
        lines += [line_up(parts, widths, sides, gap) for parts in zip_longest(*wrapped, fillvalue="")]
        if below and i:
            lines += [f"{GAP}{line}" for line in wrap(below[i - 1], width - len(GAP))]
    return "\n".join(cut(line, width) for line in lines)


def _squeeze(columns: Sequence[Sequence[str]], sides: Sequence[Side], width: int) -> tuple[list[int], str]:
    """Widths that fit, and the gap between them: a narrower gap first, then narrower texts from the right, but no broken word."""
    widths = [max(map(cells, column)) for column in columns]
    if sum(widths) + len(GAP) * (len(widths) - 1) <= width:
        return widths, GAP
    excess = sum(widths) + len(widths) - 1 - width
    for i in reversed([i for i, side in enumerate(sides) if side == "left"]):
        longest_word = max((cells(word) for cell in columns[i] for word in cell.split()), default=0)
        given = min(max(excess, 0), widths[i] - longest_word)
        widths[i], excess = widths[i] - given, excess - given
    return widths, " "


def line_up(parts: Sequence[str], widths: Sequence[int], sides: Sequence[Side], gap: str = GAP) -> str:
    """One line of a table: each part in its width, on its side."""
    padded = [_pad(part, width, side) for part, width, side in zip(parts, widths, sides, strict=True)]
    return gap.join(padded).rstrip()


def _pad(text: str, width: int, side: Side) -> str:
    spaces = " " * (width - cells(text))
    return text + spaces if side == "left" else spaces + text
