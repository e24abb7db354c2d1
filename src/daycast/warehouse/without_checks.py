"""The one thing in our statements that DuckLake refuses: check constraints. There the contracts of each frame stand alone."""

import re

_PARTS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|,?\s*\bcheck\s*\(|[()]""", re.IGNORECASE)
_STEP = {"(": 1, ")": -1}


def without_checks(sql: str) -> str:
    """The same statements without `check (…)`, of a column or of a table; texts, comments and quoted names stay as they are."""
    kept, end, depth = [], 0, 0
    for part in _PARTS.finditer(sql):
        if depth:
            depth += _STEP.get(part[0], 0)
            end = part.end()
        elif part[0].endswith("(") and part[0] != "(":
            kept.append(sql[end : part.start()])
            depth = 1
    return "".join([*kept, sql[end:]])
