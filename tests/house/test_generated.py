"""The generated documents say what the code says now."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
NAMES = (
    "src/daycast/guide/commands.md",
    "src/daycast/guide/settings.md",
    "sql/README.md",
    "tests/benchmarks/README.md",
)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_documents", ROOT / "tests" / "house" / "write_documents.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def documents(generator) -> dict[str, str]:
    return {str(path.relative_to(ROOT)): text for path, text in generator.documents().items()}


def test_every_generated_document_is_looked_at(documents):
    assert sorted(documents) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_generated_document_is_what_the_code_says(name, documents):
    written = (ROOT / name).read_text(encoding="utf-8")
    assert written == documents[name], f"{name} is not what the code says any more: run `make documents` and commit it"


@pytest.mark.parametrize("name", NAMES)
def test_a_generated_document_reads_well_in_a_terminal(name, documents, generator):
    text = documents[name].partition(generator.BEGIN)[0]  # what follows is written by hand
    long = [line for line in text.splitlines() if len(line) > 100 and line.count(" ") > 5 and "<!--" not in line]
    assert not long


def test_every_command_is_told_of(documents):
    from daycast.cli.arguments import GROUPS

    for name in (name for names in GROUPS.values() for name in names):
        assert f"### `daycast {name}`\n" in documents["src/daycast/guide/commands.md"]


def test_every_section_and_every_key_of_the_model_is_told_of_with_its_default(documents):
    from dataclasses import fields

    from daycast.model.config import ModelConfig
    from daycast.settings import Settings

    text = documents["src/daycast/guide/settings.md"]
    for name, setting in Settings.model_fields.items():
        assert f"`[{setting.alias or name}" in text or f"`[[{name}]]`" in text or f"- `{name}`" in text, name
    for one in fields(ModelConfig):
        assert f"- `{one.name}` " in text, one.name
    assert '- `cell` = `"auto"`' in text
    assert "- `hidden_size` = `64`" in text


def test_every_public_table_view_macro_and_query_is_told_of(documents):
    from daycast.warehouse.publish.publication import OWN_TABLES, PUBLIC_TABLES

    text = documents["sql/README.md"]
    views = {path.stem for path in (ROOT / "sql" / "views").glob("*.sql")}
    for name in {*PUBLIC_TABLES, *OWN_TABLES, *views}:
        assert f"\n### `{name}`\n" in text or f"\n- `{name}` is `" in text, name
    for path in (ROOT / "sql" / "macros").glob("*.sql"):
        assert f"\n### `{path.stem}(" in text
    for path in (ROOT / "sql" / "cookbook").glob("*.sql"):
        assert f"({path.parent.name}/{path.name})" in text


def test_what_is_written_by_hand_among_the_benchmarks_is_kept(documents, generator):
    before = (ROOT / "tests/benchmarks/README.md").read_text(encoding="utf-8")
    kept = before.partition(generator.BEGIN)[2]
    assert kept.strip()
    assert documents["tests/benchmarks/README.md"].endswith(kept)
