"""What daycast itself says is never taken for a secret."""

import ast
from pathlib import Path

import pytest

from daycast.redact import redact

ROOT = Path(__file__).parents[2]
MODULES = sorted([*(ROOT / "src" / "daycast").rglob("*.py"), *(ROOT / "flows").glob("*.py")])
SAYING = ("info", "warning", "error", "print")


def messages(path: Path) -> list[str]:
    """Every text that is given to an error, the log or print, with something short where a value goes."""
    found = []
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if name.endswith("Error") or name in SAYING:
            found += [written(argument) for argument in call.args if isinstance(argument, ast.Constant | ast.JoinedStr)]
    return found


def written(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "x1" for part in node.values)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_of_ours_is_redacted(path):
    for message in messages(path):
        assert redact(message) == message
