"""The documentation is true: commands, tables, settings and files are those of the code."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import get_args

from daycast.__main__ import build_parser
from daycast.model.config import ModelConfig
from daycast.quality.limits import DEFAULTS
from daycast.settings import Settings, SourceSettings
from daycast.warehouse.publish.publication import OWN_TABLES, PUBLIC_TABLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def commands() -> set[str]:
    actions = next(action for action in build_parser()._actions if isinstance(action.choices, dict))
    return set(actions.choices)


def test_the_readme_lists_exactly_the_commands_there_are():
    assert set(re.findall(r"^\| `daycast ([\w-]+)` \|", README, re.MULTILINE)) == commands()


def test_every_option_the_readme_shows_exists():
    actions = next(action for action in build_parser()._actions if isinstance(action.choices, dict))
    for name, text in re.findall(r"^\| `daycast ([\w-]+)` \| (.*) \|$", README, re.MULTILINE):
        known = {option for action in actions.choices[name]._actions for option in action.option_strings}
        assert set(re.findall(r"--[a-z-]+", text)) <= known, name


def test_every_table_and_view_the_readme_names_exists_and_none_is_missing():
    section = README.split("## Tables")[1].split("## ")[0]
    named = set(re.findall(r"`(\w+)(?:\([\w, ]+\))?`", "".join(re.findall(r"^\|(.*?)\|", section, re.MULTILINE))))
    views = {path.stem for path in (ROOT / "sql" / "views").glob("*.sql")}
    macros = {path.stem for path in (ROOT / "sql" / "macros").glob("*.sql")}
    tables = {*PUBLIC_TABLES, *OWN_TABLES} - {"stations", "observation_versions", "publication"}
    assert named == tables | views | macros


def test_the_cookbook_of_the_readme_lists_every_file_there_is():
    section = README.split("## Cookbook")[1].split("## ")[0]
    files = {path.name for path in (ROOT / "sql" / "cookbook").glob("*.sql")}
    assert set(re.findall(r"^\| `(\w+\.sql)` \|", section, re.MULTILINE)) == files


def test_the_template_is_the_defaults_it_claims_to_show():
    table = tomllib.loads((ROOT / "src/daycast/template.toml").read_text())
    shown, default = Settings.model_validate(table), Settings()
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
    assert (
        set(re.findall(r"^\| `(\w+)` \|", README.split("| kind | reads |")[1].split("\n\n")[0], re.MULTILINE)) == kinds
    )
    assert settings.limits["air_temperature_c"] == DEFAULTS["air_temperature_c"]
    assert settings.glossary["soil_moisture_pct"].unit == "%"


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
