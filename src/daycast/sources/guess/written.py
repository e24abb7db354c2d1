"""A `[[sources]]` table as TOML, with what is a guess beside it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from daycast.sources.tables.short_forms import position_of

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BELOW = ("columns", "wide")  # written as tables of their own, a line a variable


def to_toml(settings: Mapping[str, Any], doubts: Mapping[str, str]) -> str:
    """The table, one setting a line; `doubts` are by setting, or by "columns.VARIABLE"."""
    lines = ["[[sources]]"]
    lines += [_line(key, value, doubts.get(key)) for key, value in settings.items() if key not in _BELOW]
    for table in _BELOW:
        if table in settings:
            lines += ["", f"[sources.{table}]"]
            lines += [_line(key, value, doubts.get(f"{table}.{key}")) for key, value in settings[table].items()]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, doubt: str | None) -> str:
    return f"{_key(key)} = {_value(value, key)}" + (f"  # a guess: {doubt}" if doubt else "")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any, key: str = "") -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(one, name)}" for name, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one, key) for one in value) + "]"
    if isinstance(value, str):
        position = position_of(value) if key != "names" else None
        return _text(value) if position is None else str(position)
    return json.dumps(value)


def _text(text: str) -> str:
    if text.endswith("\n") and "\\" not in text and '"""' not in text:
        return f'"""\n{text}"""'
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
