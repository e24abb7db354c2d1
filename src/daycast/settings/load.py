"""Reading the settings: from the file, with what the environment says in its place."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import (
    ValidationError,
)

from daycast.errors import ConfigError
from daycast.settings.configured import Settings
from daycast.settings.sections import Section
from daycast.sources.nearest import did_you_mean

DEFAULT_FILE = "daycast.toml"
_PREFIX = "DAYCAST_"
_NOT_SETTINGS = {"DAYCAST_CONFIG", "DAYCAST_FOLDER"}
_SHORT = {"DAYCAST_ALERT_URL": "DAYCAST_LIVE__ALERT_URL", "DAYCAST_HEARTBEAT_URL": "DAYCAST_LIVE__HEARTBEAT_URL"}
_SECRET = {"alert_url", "heartbeat_url"}  # an error does not show what they are
_RENAMED = {"longest_minutes": "max_minutes"}  # keys of earlier versions
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # pydantic's names for it


def load_settings(file: str | None = None) -> Settings:
    """Read the settings from `file`, else from DAYCAST_CONFIG, else from daycast.toml, else the built-in defaults.

    Relative paths start at the folder of that file, without one at DAYCAST_FOLDER, else at the working directory.
    Raises ConfigError naming the key, its value and the nearest valid key.
    """
    path = find_config(file)
    table = _read_toml(path) if path else {}
    folder = path.parent if path else Path(os.environ.get("DAYCAST_FOLDER", "")).absolute()
    try:
        return Settings.model_validate(_override(table), context={"folder": folder, "environment": dict(os.environ)})
    except ValidationError as error:
        raise ConfigError(f"{path or 'settings'}: {_first_line(error)}") from None


def find_config(file: str | None) -> Path | None:
    """The configuration file to read; None for the built-in defaults."""
    named = file or os.environ.get("DAYCAST_CONFIG")
    path = Path(named or DEFAULT_FILE)
    if path.is_file():
        return path.resolve()
    if named:
        raise ConfigError(f"there is no configuration file {named!r}: write one with `daycast init --config {named}`")
    return None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _override(table: dict[str, Any]) -> dict[str, Any]:
    """The table with every DAYCAST_SECTION__KEY of the environment in place of what it says."""
    settings = [field.alias or name for name, field in Settings.model_fields.items()]
    for name, text in sorted(os.environ.items()):
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
            continue
        *sections, key = _SHORT.get(name, name).removeprefix(_PREFIX).lower().split("__")
        if (top := [*sections, key][0]) not in settings:
            raise ConfigError(f"the environment sets {name}, and {top!r} is no setting{did_you_mean(top, settings)}")
        place = table
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = json.loads(text) if text.startswith("[") else text
    return table


def _first_line(error: ValidationError) -> str:
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] in _UNKNOWN_KEY), errors[0])  # a misspelt key also looks missing
    place = ".".join(str(part) for part in first["loc"] if part != "function-after")
    if first["type"] in _UNKNOWN_KEY:
        key = str(first["loc"][-1])
        near = f": it is called {_RENAMED[key]} now" if key in _RENAMED else did_you_mean(key, _every_key())
        return f"unknown key {place!r}{near}"
    value = (
        ""
        if first["type"] == "missing"
        or _SECRET & set(first["loc"])
        or isinstance(first["input"], dict | Section)
        or place.startswith("warehouse")
        else f" (it is {first['input']!r})"
    )
    return f"{place}: {first['msg'].removeprefix('Value error, ')}{value}".removeprefix(": ")


def _every_key() -> set[str]:
    schema = Settings.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}
