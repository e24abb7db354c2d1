"""The documentation is true: commands, tables, settings and files are those of the code."""

import argparse
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel

from daycast.__main__ import build_parser
from daycast.model.config import ModelConfig
from daycast.quality.limits import DEFAULTS, Limits
from daycast.settings import Settings, SourceSettings
from daycast.settings.sections import RENAMED
from daycast.warehouse.publish.publication import OWN_TABLES, PUBLIC_TABLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def guide(topic: str) -> str:
    return (ROOT / "src" / "daycast" / "guide" / f"{topic}.md").read_text()


def section(text: str, heading: str) -> str:
    """What stands below a heading of the second level, up to the next one."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]


def commands() -> dict[str, argparse.ArgumentParser]:
    return next(action for action in build_parser()._actions if isinstance(action.choices, dict)).choices


def names_in_first_column(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)(?:\([\w, ]+\))?`", "".join(re.findall(r"^\|(.*?)\|", text, re.MULTILINE))))


def public_names() -> set[str]:
    views = {path.stem for path in (ROOT / "sql" / "views").glob("*.sql")}
    macros = {path.stem for path in (ROOT / "sql" / "macros").glob("*.sql")}
    return {*PUBLIC_TABLES, *OWN_TABLES} | views | macros


def test_the_readme_is_a_screen_and_a_half():
    assert len(README.splitlines()) <= 150
    assert len(README.encode()) <= 8192


def test_the_guide_lists_exactly_the_commands_there_are():
    assert set(re.findall(r"^\| `daycast ([\w-]+)` \|", guide("service"), re.MULTILINE)) == set(commands())


def test_every_option_the_guide_shows_of_a_command_exists():
    for name, text in re.findall(r"^\| `daycast ([\w-]+)` \| (.*) \|$", guide("service"), re.MULTILINE):
        known = {option for action in commands()[name]._actions for option in action.option_strings}
        assert set(re.findall(r"--[a-z-]+", text)) <= known, name


def test_every_table_and_view_the_guide_names_exists_and_none_is_missing():
    named = names_in_first_column(section(guide("forecasts"), "Tables"))
    assert named == public_names() - {"stations", "observation_versions", "publication"}


def test_the_tables_that_the_readme_shows_exist():
    shown = names_in_first_column(section(README, "What you get"))
    assert len(shown) == 5
    assert shown <= public_names()


def test_the_cookbook_of_the_guide_lists_every_file_there_is():
    files = {path.name for path in (ROOT / "sql" / "cookbook").glob("*.sql")}
    assert set(re.findall(r"^\| `(\w+\.sql)` \|", guide("forecasts"), re.MULTILINE)) == files


def test_the_names_of_settings_that_the_guide_mentions_exist():
    sections = {field.alias or name: field.annotation for name, field in Settings.model_fields.items()}
    for path in (ROOT / "src" / "daycast" / "guide").glob("*.md"):
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for part, key in re.findall(r"`(ingest|model|retrain|publish|live|compute|drift|retention)\.(\w+)`", text):
            kind = sections[part]
            keys = {field.name for field in fields(kind)} if is_dataclass(kind) else set(kind.model_fields)
            assert key in keys, f"{path.name}: {part}.{key}"


def test_the_changelog_tells_the_new_name_of_every_setting_that_was_renamed():
    text = (ROOT / "CHANGELOG.md").read_text()
    rows = section(text, "0.1.0 (unreleased)").split("### New names")[1].split("###")[0].splitlines()
    for old, new in RENAMED.items():
        assert any(old in words and new in words for words in (re.findall(r"\w+", row) for row in rows)), old


def test_the_template_is_the_defaults_it_claims_to_show():
    table = tomllib.loads((ROOT / "src/daycast/template.toml").read_text())
    shown, default = Settings.model_validate(table), Settings(data="data")  # without any it is the demonstration's
    assert shown == default


def test_every_default_of_the_model_is_explained_in_the_template():
    text = (ROOT / "src/daycast/template.toml").read_text()
    for field in fields(ModelConfig):
        unset = "# " if field.default is None else ""  # TOML has no word for it
        assert re.search(rf"^{unset}{field.name} = ", text, re.MULTILINE), field.name


def test_every_source_and_setting_of_the_template_is_accepted_when_uncommented(tmp_path):
    text = (ROOT / "src/daycast/template.toml").read_text()
    uncommented = re.sub(r"^# ?(?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    settings = Settings.model_validate(tomllib.loads(uncommented), context={"folder": tmp_path})
    kinds = {get_args(source.model_fields["kind"].annotation)[0] for source in get_args(get_args(SourceSettings)[0])}
    assert {source.kind for source in settings.sources} == kinds
    table = guide("sources").split("| kind | reads |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == kinds
    assert settings.limits["air_temperature_c"] == DEFAULTS["air_temperature_c"]
    assert settings.glossary["soil_moisture_pct"].unit == "%"


TEMPLATE = (ROOT / "src/daycast/template.toml").read_text()
KINDS = {
    get_args(source.model_fields["kind"].annotation)[0]: source for source in get_args(get_args(SourceSettings)[0])
}
# examples of sources, from their table to the next empty line
SOURCES = [part for part in re.split(r"\n\n|^(?=\[\[)", TEMPLATE, flags=re.MULTILINE) if "[[sources]]\n" in part]
ALTERNATIVE = re.compile(r"^# # (\w+) = .*$", re.MULTILINE)


def uncommented(text: str) -> str:
    return re.sub(r"^# ?(?=\[|\w+ = )", "", text, flags=re.MULTILINE)


def keys_of(model: type) -> dict[str, Any]:
    """Each key of a section, with its type."""
    if is_dataclass(model):
        types = get_type_hints(model, include_extras=True)
        return {one.name: types[one.name] for one in fields(model)}
    return {one.alias or name: one.annotation for name, one in model.model_fields.items()}


def sections_in(annotation: Any) -> Iterator[type]:
    """The sections that a type mentions."""
    if isinstance(annotation, type) and (is_dataclass(annotation) or issubclass(annotation, BaseModel)):
        yield annotation
    for part in get_args(annotation):
        yield from sections_in(part)


def sections_below(model: type) -> set[type]:
    """All sections that can stand within this one."""
    found, new = set[type](), [model]
    while new:
        below = {section for annotation in keys_of(new.pop()).values() for section in sections_in(annotation)}
        new += below - found
        found |= below
    return found


def is_named(key: str, text: str) -> bool:
    return bool(re.search(rf"(?<![\w.]){key} = |^(?:# )?\[+(?:\w+\.)?{key}[].]", text, re.MULTILINE))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_key_of_a_kind_of_source_is_among_the_examples_of_that_kind(kind):
    text = "\n".join(part for part in SOURCES if f'kind = "{kind}"' in part)
    assert [key for key in keys_of(KINDS[kind]) if not is_named(key, text)] == []


def test_every_key_of_every_other_section_is_in_the_template():
    sections = {Settings, *sections_below(Settings)}
    assert {Settings, ModelConfig, *KINDS.values()} < sections
    missing = [f"{one.__name__}.{key}" for one in sections for key in keys_of(one) if not is_named(key, TEMPLATE)]
    assert missing == []
    quality = TEMPLATE.split("[quality.air_temperature_c]")[1].split("\n\n")[0]
    assert [one.name for one in fields(Limits) if not is_named(one.name, quality)] == []


@pytest.mark.parametrize("example", SOURCES, ids=lambda part: re.findall(r'name = "([\w-]+)"', part)[0])
def test_every_source_of_the_template_is_accepted_alone_and_with_each_alternative(example, tmp_path):
    texts = [example]
    for line in ALTERNATIVE.finditer(example):
        replaced = re.findall(r"in place of (\w+)", line[0])
        keys = "|".join([line[1], *replaced])
        texts.append(re.sub(rf"^# (?:{keys}) = .*\n", "", example, flags=re.MULTILINE).replace(line[0], line[0][2:]))
    tables = [tomllib.loads(uncommented(text)) for text in texts]
    (shown, *others) = [Settings.model_validate(table, context={"folder": tmp_path}).sources for table in tables]
    assert shown not in others


def test_the_template_can_be_read_in_a_terminal():
    assert [line for line in TEMPLATE.splitlines() if len(line) > 130] == []
    assert max(len(part.splitlines()) for part in SOURCES) <= 50


def test_the_csv_example_of_the_readme_is_a_configuration(tmp_path):
    example = README.split("```toml\n")[1].split("```")[0]
    settings = Settings.model_validate(tomllib.loads(example), context={"folder": tmp_path})
    assert settings.sources[0].name == "garden"
    assert len(example.strip().splitlines()) <= 11


def test_no_file_is_left_in_the_top_folder_beyond_the_agreed_ones():
    agreed = {
        "pyproject.toml",
        "flows",
        "src",
        "sql",
        "tests",
        "infra",
        "README.md",
        "Makefile",
        ".ci",
        ".gitignore",
        "LICENSE",
        "CHANGELOG.md",
    }
    generated = {".git", ".venv", "data", "build", "daycast.toml"}
    there = {
        path.name
        for path in ROOT.iterdir()
        if not path.name.endswith(("_cache", ".egg-info")) and path.name != ".hypothesis"
    }
    assert there - generated <= agreed
