"""Small pieces of HTML. Whatever is not Markup is escaped, so nothing that a network calls its stations can run."""

from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that already is HTML."""

    __slots__ = ()


def as_html(value: object) -> Markup:
    """A value as HTML: Markup as it is, everything else escaped, None as a dash."""
    if isinstance(value, Markup):
        return value
    return Markup("–" if value is None else escape(str(value)))


def tag(name: str, *content: object, css: str = "", **attributes: object) -> Markup:
    """An element around content, with a class and attributes."""
    given = {"class": css or None, **attributes}
    written = "".join(f' {key}="{escape(str(value))}"' for key, value in given.items() if value is not None)
    return Markup(f"<{name}{written}>{''.join(as_html(part) for part in content)}</{name}>")


def table(headings: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]) -> Markup:
    """A table in a card. headings: the text and the class of each column: `number`, `text` (may wrap) or none."""
    classes = [css for _, css in headings]
    head = tag("tr", *(tag("th", text, css=css) for text, css in headings))
    body = [tag("tr", *(tag("td", cell, css=css) for cell, css in zip(row, classes, strict=True))) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), css="card wide")


def bar(share: float | None) -> Markup:
    """A share of 1 as a bar with its percentage."""
    if share is None:
        return as_html(None)
    fill = tag("i", style=f"width:{min(share, 1) * 100:.1f}%")
    return Markup(tag("span", fill, css="bar") + as_html(f"{share * 100:.1f} %"))
