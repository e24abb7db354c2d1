"""Markdown for a terminal: headings, tables and code as a reader of text sees them."""

from io import StringIO
from typing import Literal


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
