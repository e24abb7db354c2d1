"""The closest of the names that exist, for the error message about one that does not."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST_LIST = 200  # characters; more is no help on one line


def did_you_mean(text: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)` with at most three close choices, ignoring case; empty where none is close."""
    by_folded = {choice.casefold(): choice for choice in choices}
    close = get_close_matches(text.casefold(), by_folded, n=3)
    return f" (did you mean {' or '.join(repr(by_folded[match]) for match in close)}?)" if close else ""


def listed(names: Iterable[str]) -> str:
    """The names on one line, cut with an ellipsis where it would grow long."""
    line = ", ".join(names)
    printable = "".join(character if character.isprintable() else "�" for character in line)
    return printable if len(printable) <= _LONGEST_LIST else printable[:_LONGEST_LIST] + "…"
