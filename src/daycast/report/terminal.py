"""Tables and named lines as plain text, for a terminal of some width."""

import io
from collections.abc import Iterable, Sequence
from typing import Literal

Column = tuple[str, Literal["left", "right"]]


def as_text(renderable: object, width: int) -> str:
    """What rich makes of it, without colours."""
    from rich.console import Console  # noqa: PLC0415 – what is printed once, at the end, is loaded then

    file = io.StringIO()
    Console(file=file, width=width, color_system=None, force_terminal=False, legacy_windows=False, emoji=False).print(
        renderable
    )
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def render_pairs(pairs: Sequence[tuple[str, str]], width: int) -> str:
    """Names with what belongs to each, wrapped beside it; a name that repeats the one above is left out."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=10)
    table.add_column()
    for i, (name, text) in enumerate(pairs):
        repeated = i > 0 and pairs[i - 1][0] == name
        table.add_row(Text("" if repeated else name), Text(text))  # Text: nothing in it is markup
    return as_text(table, width)


def render_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int) -> str:
    """A table without lines; columns: heading and side."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, padding=(0, 2 if width > 100 else 1, 0, 0), pad_edge=False)
    for heading, justify in columns:
        table.add_column(heading, justify=justify)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return as_text(table, width)
