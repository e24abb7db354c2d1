"""Text for a terminal: paragraphs, lines with names, tables, and Markdown, measured in terminal cells.

Wide characters (漢) take two cells and combining characters none, so `len` is not the width of a line.
"""

from collections.abc import Iterable, Sequence
from io import StringIO
from itertools import zip_longest
from typing import Literal

from rich.cells import cell_len, chop_cells, set_cell_size

Side = Literal["left", "right"]
Column = tuple[str, Side]

GAP = "  "  # between columns
CUT = "…"  # the end of a text that was cut


def printable(text: str) -> str:
    """The text with control and format characters, which a terminal would obey or hide, written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cells(text: str) -> int:
    """The width of the text in cells."""
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, width: int) -> str:
    """The text, or its beginning with an ellipsis if it is wider than `width` cells."""
    return text if cells(text) <= width else set_cell_size(text, width - 1).rstrip() + CUT


def wrap(text: str, width: int, *, chop: bool = True) -> list[str]:
    """The text in printable lines of at most `width` cells, broken between words. Longer words are chopped, or stand out."""
    lines = [""]
    for word in printable(text).split():
        if not lines[-1]:
            lines.pop()
        elif cells(lines[-1]) + 1 + cells(word) <= width:
            word = f"{lines.pop()} {word}"  # noqa: PLW2901 – the line so far and the word are one piece now
        lines += chop_cells(word, width) if chop and cells(word) > width else [word]
    return lines


def wrap_text(text: str, width: int) -> str:
    """The text as one paragraph with lines of at most `width` cells; see `wrap`."""
    return "\n".join(wrap(text, width))


def render_pairs(pairs: Sequence[tuple[str, str]], width: int, names: int = 10) -> str:
    """Lines of name and text, with the text wrapped beside the name; a name equal to the one above is left out.

    names: the width of the column of names, in cells.
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
    """A table without rules in lines of at most `width` cells. If it is too wide, texts wrap between words; numbers never wrap.

    columns: heading and alignment, `left` for texts and `right` for numbers. below: one text for each row, indented under it.
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
    """Widths that fit, and the gap: first the gap shrinks, then text columns from the right, but never below a word's width."""
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
    """One line of a table: each part padded to its width, aligned to its side."""
    padded = [_pad(part, width, side) for part, width, side in zip(parts, widths, sides, strict=True)]
    return gap.join(padded).rstrip()


def _pad(text: str, width: int, side: Side) -> str:
    spaces = " " * (width - cells(text))
    return text + spaces if side == "left" else spaces + text


def render_markdown(text: str, width: int, *, color: bool) -> str:
    """The text laid out in lines of at most `width` cells, with colours and weights as escape codes if `color`.

    Links stand in brackets behind their words, because few terminals can follow one to a file of ours.
    """
    from rich.console import Console  # noqa: PLC0415 - with its Markdown a tenth of a second
    from rich.markdown import Markdown  # noqa: PLC0415
    from rich.theme import Theme  # noqa: PLC0415

    page = StringIO()
    theme = Theme({"markdown.code": "cyan"})  # no background, so that it suits light and dark terminals
    system: Literal["standard"] | None = "standard" if color else None
    console = Console(file=page, width=width, force_terminal=color, color_system=system, theme=theme)
    console.print(Markdown(text, code_theme="ansi_light", hyperlinks=False))
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"
