"""Load the settings from file and environment, and read the clock.

Every run knows two times. *Now* is the real clock, whatever the arguments are: it goes into `created_at`, `registered_at`,
`ingested_at`, the `received_at` of corrections, and the log of runs. *As of* is `--until`, by default now: the run uses nothing
that was received, registered or issued later.
"""

import json
import os
import tomllib
from contextlib import suppress
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from daycast.errors import ConfigError, did_you_mean
from daycast.settings.sections import REMOVED, RENAMED
from daycast.settings.settings import Settings
from daycast.times import parse_time

DEFAULT_FILE = "daycast.toml"
_PREFIX = "DAYCAST_"
_NOT_SETTINGS = {"DAYCAST_CONFIG", "DAYCAST_FOLDER"}
_SHORT = {"DAYCAST_ALERT_URL": "DAYCAST_LIVE__ALERT_URL", "DAYCAST_HEARTBEAT_URL": "DAYCAST_LIVE__HEARTBEAT_URL"}
# keys whose values no error shows: secrets, names of variables that may be the secrets themselves, and tables of both
_HIDDEN = {"alert_url", "heartbeat_url", "credential", "postgres_env", "attach", "warehouse"}
_HIDDEN_TABLES = {"http", "live"}  # hidden if something other than a table stands there
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # pydantic's error types


def clock(until: str | datetime | None = None) -> datetime:
    """The time as of which a run works, in UTC: `until`, by default now.

    Raises ConfigError if `until` lies in the future or is not a time.
    """
    return as_of(until, wall_clock())


def as_of(until: str | datetime | None, now: datetime) -> datetime:
    """The time as of which a run works, in UTC: `until`, by default `now`.

    Raises ConfigError if `until` is later than `now` or is not a time.
    """
    if until is None:
        return now
    moment = parse_time(until) if isinstance(until, str) else until
    if moment > now:
        raise ConfigError(
            f"--until {moment.isoformat()} lies in the future: give a moment that has passed, or leave it out"
        )
    return moment


def wall_clock() -> datetime:
    """The real time, in UTC. Tests that simulate weeks replace this function; users cannot."""
    return datetime.now(UTC)


def load_settings(file: str | None = None) -> Settings:
    """Load the settings from `file`, else from DAYCAST_CONFIG, else from ./daycast.toml, else the built-in defaults.

    DAYCAST_SECTION__KEY variables replace keys of the file. Relative paths start at the folder of the file; without a file at
    DAYCAST_FOLDER, else at the working directory. Raises ConfigError naming the key, its value and the closest valid key.
    """
    path = find_config(file)
    table = _read_toml(path) if path else {}
    folder = path.parent if path else Path(os.environ.get("DAYCAST_FOLDER", "")).absolute()
    context = {"folder": folder, "environment": dict(os.environ)}
    try:
        settings = Settings.model_validate(_override(table), context=context)
    except ValidationError as error:
        raise ConfigError(f"{path or 'settings'}: {_first_line(error)}") from None
    _check_folder(settings.data)
    return settings


def find_config(file: str | None) -> Path | None:
    """The configuration file to read; None for the built-in defaults. Raises ConfigError if a named file does not exist."""
    named = file or os.environ.get("DAYCAST_CONFIG")
    path = Path(named or DEFAULT_FILE)
    with suppress(OSError):  # not accessible, or not a valid path
        if path.is_file():
            return path.resolve()
    if named:
        raise ConfigError(f"there is no configuration file {named!r}: write one with `daycast init --config {named}`")
    return None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # with or without a byte order mark
        if "\0" in text:
            raise ConfigError(f"{path} is not text in UTF-8: save it as that")  # UTF-16 without its mark
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text in UTF-8, from byte {error.start} on: save it as that") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _override(table: dict[str, Any]) -> dict[str, Any]:
    """Put the value of every DAYCAST_SECTION__KEY variable into the table, and return it."""
    settings = [field.alias or name for name, field in Settings.model_fields.items()]
    for name, text in sorted(os.environ.items()):
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
            continue
        *sections, key = _SHORT.get(name, name).removeprefix(_PREFIX).lower().split("__")
        if (top := [*sections, key][0]) not in settings:
            raise ConfigError(f"the environment sets {name}, and {top!r} is no setting{did_you_mean(top, settings)}")
        place: Any = table
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError(f"the environment sets {name}, and {section!r} is no table: set it as a whole")
        place[key] = _read_value(name, text)
    return table


def _read_value(name: str, text: str) -> Any:
    """The value of an environment variable: a list if it is written as JSON, else the text."""
    if not text.startswith("["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"the environment sets {name}, and what begins with [ must be a list in JSON: {error}"
        ) from None


def _check_folder(data: Path) -> None:
    """Raise ConfigError if the data folder is a file or lies below one. It need not exist."""
    try:
        nearest = next(path for path in (data, *data.parents) if path.exists())
    except OSError as error:
        raise ConfigError(f"data: {data} cannot be a folder: {error.strerror}") from None
    if not nearest.is_dir():
        raise ConfigError(f"data: {nearest} is a file: name a folder")


def _first_line(error: ValidationError) -> str:
    """The first problem that pydantic found, in one line; an unknown key comes first."""
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] in _UNKNOWN_KEY), errors[0])  # a misspelt key also looks missing
    place = ".".join(str(part) for part in first["loc"] if part != "function-after")
    if first["type"] in _UNKNOWN_KEY:
        key = str(first["loc"][-1])
        if place in REMOVED:
            return f"unknown key {place!r}: {REMOVED[place]}"
        near = f": it is called {RENAMED[key]} now" if key in RENAMED else did_you_mean(key, _every_key())
        return f"unknown key {place!r}{near}"
    value = f" (it is {first['input']!r})" if first["type"] != "missing" and _is_shown(first) else ""
    return f"{place}: {first['msg'].removeprefix('Value error, ')}{value}".removeprefix(": ")


def _is_shown(error: ErrorDetails) -> bool:
    """Whether an error may show the value: not for keys that hold secrets, and only simple types."""
    hidden = _HIDDEN & set(error["loc"]) or _HIDDEN_TABLES & set(error["loc"][-1:])
    return not hidden and isinstance(error["input"], str | int | float | date | time | None)


def _every_key() -> set[str]:
    """Every valid key, of all sections."""
    schema = Settings.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}
