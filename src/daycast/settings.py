"""The settings: daycast.toml, overridden by DAYCAST_* variables, over defaults that run the simulated network.

Only this module and __main__ read the environment, and nothing below them reads it or the clock.
"""

import json
import os
import re
import tomllib
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from daycast.errors import ConfigError
from daycast.model.config import Cell, ModelConfig
from daycast.quality.limits import DEFAULTS, Limits
from daycast.sources.csv import CsvSource
from daycast.sources.ghcnh import GhcnhSource
from daycast.sources.isd_lite import IsdLiteSource
from daycast.sources.nearest import did_you_mean
from daycast.sources.open_meteo import OpenMeteoSource
from daycast.sources.parquet import ParquetSource
from daycast.sources.sensorthings import SensorThingsSource
from daycast.sources.simulated import SimulatedSource
from daycast.sources.sql import SqlSource
from daycast.times import parse_duration, parse_time
from daycast.variables import BUILT_IN, Variable
from daycast.verify.paired_test import LEAST_DAYS
from daycast.warehouse.lake import Lake

DEFAULT_FILE = "daycast.toml"
_PREFIX = "DAYCAST_"
_NOT_SETTINGS = {"DAYCAST_CONFIG"}
_ISO_8601 = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?$"
# A time as the parameter of a flow: Prefect refuses anything else before a run of it exists.
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time", "pattern": _ISO_8601})]
_SHORT = {"DAYCAST_ALERT_URL": "DAYCAST_LIVE__ALERT_URL", "DAYCAST_HEARTBEAT_URL": "DAYCAST_LIVE__HEARTBEAT_URL"}
_SECRET = {"alert_url", "heartbeat_url"}  # an error does not show what they are
# What a retraining may be allowed, as parameters of a flow: Prefect's form says the bounds.
Epochs = Annotated[int, Field(ge=1)]
Minutes = Annotated[float, Field(gt=0)]
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # pydantic's names for it


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeclaredVariable(_Section):
    """A variable this network measures beside the built-in ones; its name should end in its unit."""

    unit: str
    lowest: float
    highest: float
    label: str = ""
    over_the_hour: Literal["instant", "sum", "max"] = "instant"
    circular: bool = False
    target: bool = True


class IngestSettings(_Section):
    """How strict ingestion is."""

    refuse_above: Annotated[float, Field(ge=0, le=1)] = 0.2  # share of bad rows above which a batch is refused whole
    earliest: datetime = datetime(
        1900, 1, 1, tzinfo=UTC
    )  # rows observed before are refused: a clock that was never set
    silent_after: str = "24h"  # a station not heard of for longer is a warning

    @field_validator("silent_after")
    @classmethod
    def _is_duration(cls, text: str) -> str:
        parse_duration(text)
        return text


class RetrainSettings(_Section):
    """When a new challenger is due, and what it has to prove."""

    every: str = "7d"
    significance: Annotated[float, Field(gt=0, lt=0.5)] = 0.05  # level of the tests by which a model is promoted
    fit_on: Literal["here", "cpu", "gpu"] = "here"  # within the run, or by a worker of that pool

    @field_validator("every")
    @classmethod
    def _is_duration(cls, text: str) -> str:
        parse_duration(text)
        return text


class LiveSettings(_Section):
    """Who is told how daycast fares when it runs by itself."""

    alert_url: SecretStr | None = None  # gets a POST with {"text": …} when a forecast failed, crashed or is late
    heartbeat_url: SecretStr | None = None  # gets a GET after each good forecast

    @field_validator("alert_url", "heartbeat_url")
    @classmethod
    def _is_web_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not re.match(r"https?://[^\s/]+", url.get_secret_value()):
            raise ValueError("it is no web address: write http://… or https://…")
        return url


class PublishSettings(_Section):
    """How tables are published."""

    parquet_above: Annotated[int, Field(ge=0)] = (
        5_000_000  # rows: a table that grows and has more is published as files
    )


class RetentionSettings(_Section):
    """What is kept for how long; what is left out is kept for ever."""

    forecasts_days: Annotated[int, Field(ge=2)] | None = None
    scores_days: Annotated[int, Field(ge=30)] | None = None  # skill_by_station tells of 30 days
    models: Annotated[int, Field(ge=0)] | None = None  # beside champion, newest and those with forecasts: others' files


class DriftSettings(_Section):
    """When the champion's served forecasts have become worse than they should be, which calls for a retraining."""

    days: Annotated[int, Field(ge=LEAST_DAYS, le=90)] = 14  # rolling window
    lasting: Annotated[int, Field(ge=1, le=30)] = 3  # days in a row on which the window must prove it
    loss: Annotated[float, Field(ge=0)] = (
        0.25  # a CRPS ratio to the best baseline this much above the judged one is allowed
    )
    coverage: Annotated[float, Field(gt=0, lt=0.8)] = 0.7  # of the 80 % interval
    significance: Annotated[float, Field(gt=0, lt=0.5)] = 0.01  # strict, for each variable is tested every day


class LakeSettings(_Section):
    """The warehouse's tables on DuckLake: its catalogue in PostgreSQL, its rows as Parquet."""

    catalogue: str  # postgresql://user@host:port/database; the password is libpq's business: PGPASSWORD, PGPASSFILE
    data: str  # a folder, relative to the configuration file's, or a URL that DuckDB can write to

    @field_validator("data")
    @classmethod
    def _beside_the_file(cls, data: str, info: ValidationInfo) -> str:
        return data if "://" in data else str((Path((info.context or {}).get("folder", ".")) / data).resolve())

    @model_validator(mode="after")
    def _check_catalogue(self) -> "LakeSettings":
        address = urlsplit(self.catalogue)  # never shown before it is known to hold no password
        if address.password is not None or "password" in address.query:
            raise ValueError("catalogue holds a password: leave it out here, and set PGPASSWORD or PGPASSFILE")
        if address.scheme not in {"postgresql", "postgres"} or not address.path.strip("/"):
            raise ValueError("catalogue must read postgresql://user@host:port/database")
        return self


class WarehouseSettings(_Section):
    """Where the tables are: in a file of the folder `data`, or on a lake."""

    lake: LakeSettings | None = None


SourceSettings = Annotated[
    SimulatedSource
    | CsvSource
    | ParquetSource
    | SqlSource
    | IsdLiteSource
    | GhcnhSource
    | OpenMeteoSource
    | SensorThingsSource,
    Field(discriminator="kind"),
]


class Settings(_Section):
    """Everything that can be configured; frozen, and unknown keys are refused."""

    data: Path = Field(
        default=Path("data"), validate_default=True
    )  # the folder all state lives in, relative to the configuration file's
    sources: tuple[SourceSettings, ...] = (SimulatedSource(),)
    variables: dict[str, DeclaredVariable] = {}
    stored: WarehouseSettings = Field(default=WarehouseSettings(), alias="warehouse")
    ingest: IngestSettings = IngestSettings()
    quality: dict[str, dict[str, Annotated[float, Field(ge=0)] | Literal["off"]]] = {}  # by variable, over the defaults
    model: ModelConfig = ModelConfig()
    retrain: RetrainSettings = RetrainSettings()
    live: LiveSettings = LiveSettings()
    publish: PublishSettings = PublishSettings()
    retention: RetentionSettings = RetentionSettings()
    drift: DriftSettings = DriftSettings()

    @field_validator("data")
    @classmethod
    def _beside_the_file(cls, data: Path, info: ValidationInfo) -> Path:
        return (Path((info.context or {}).get("folder", ".")) / data).resolve()

    @model_validator(mode="after")
    def _check_names(self) -> "Settings":
        names = [source.name for source in self.sources]
        if not names:
            raise ValueError("there is no source: add a [[sources]] table")
        if len(set(names)) < len(names):
            raise ValueError(f"two sources are called {max(names, key=names.count)!r}: give each its own name")
        taken = sorted(set(self.variables) & set(BUILT_IN))
        if taken:
            raise ValueError(f"variable {taken[0]!r} is built in: leave its declaration out")
        unknown = sorted(set(self.model.targets) - set(self.glossary))
        if unknown:
            raise ValueError(
                f"model.targets names {unknown[0]!r}, no variable{did_you_mean(unknown[0], self.glossary)}"
            )
        self._check_quality()
        return self

    def _check_quality(self) -> None:
        keys = [field.name for field in fields(Limits)]
        for name, given in self.quality.items():
            if name not in self.glossary:
                raise ValueError(f"quality names {name!r}, no variable{did_you_mean(name, self.glossary)}")
            for key in given:
                if key not in keys:
                    near = did_you_mean(key, keys)
                    raise ValueError(f"quality.{name}: unknown key {key!r}{near}; there are: {', '.join(keys)}")
        try:
            _ = self.limits
        except ConfigError as error:
            raise ValueError(f"quality: {error}") from None

    @property
    def limits(self) -> dict[str, Limits]:
        """What each variable is checked by: the defaults with what is configured in their place."""
        limits = {name: DEFAULTS.get(name, Limits()) for name in self.glossary}
        for name, given in self.quality.items():
            chosen = {key: None if value == "off" else value for key, value in given.items()}
            limits[name] = replace(limits[name], **chosen)
        return limits

    @property
    def glossary(self) -> dict[str, Variable]:
        """Every variable of the network by name: built-in and declared."""
        declared = {
            name: Variable(name=name, **{**declared.model_dump(), "label": declared.label or name.replace("_", " ")})
            for name, declared in self.variables.items()
        }
        return {**BUILT_IN, **declared}

    @property
    def warehouse(self) -> Path | Lake:
        """The pipeline's own database."""
        lake = self.stored.lake
        return Lake(lake.catalogue, lake.data) if lake else self.warehouse_file

    @property
    def warehouse_file(self) -> Path:
        """The file that is the pipeline's own database unless it is on a lake."""
        return self.data / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """The read-only database for analysts."""
        return self.data / "published.duckdb"

    @property
    def snapshots(self) -> Path:
        """Folder of training snapshots (Parquet)."""
        return self.data / "snapshots"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints (safetensors)."""
        return self.data / "checkpoints"

    @property
    def heartbeat(self) -> Path:
        """The file that each good forecast replaces."""
        return self.data / "heartbeat.json"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.data / "report.html"

    def with_cell(self, cell: str | None, epochs: int | None = None, minutes: float | None = None) -> ModelConfig:
        """The model configuration, with another cell and another budget of training where they are asked for."""
        if cell is not None and cell not in get_args(Cell):
            raise ConfigError(f"{cell!r} is no cell: choose {', '.join(get_args(Cell))}")
        for name, budget in (("epochs", epochs), ("minutes", minutes)):
            if budget is not None and not budget > 0:
                raise ConfigError(f"{name} cannot be {budget}: training needs more than nothing")
        asked: dict[str, Any] = {"cell": cell, "epochs": epochs, "longest_minutes": minutes}
        return replace(self.model, **{name: value for name, value in asked.items() if value is not None})


def clock(until: str | datetime | None = None) -> datetime:
    """The present, in UTC; or the moment it is to be taken for.

    Raises ConfigError where that moment lies ahead: nothing can be known of it.
    """
    now = datetime.now(UTC)
    if until is None:
        return now
    moment = parse_time(until) if isinstance(until, str) else until
    if moment > now:
        raise ConfigError(
            f"--until {moment.isoformat()} lies in the future: give a moment that has passed, or leave it out"
        )
    return moment


def load_settings(file: str | None = None) -> Settings:
    """Read the settings from `file`, else from DAYCAST_CONFIG, else from daycast.toml, else the built-in defaults.

    Raises ConfigError naming the key, its value and the nearest valid key.
    """
    path = find_config(file)
    table = _read_toml(path) if path else {}
    folder = path.parent if path else Path.cwd()
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
        return f"unknown key {place!r}{did_you_mean(str(first['loc'][-1]), _every_key())}"
    value = (
        ""
        if first["type"] == "missing"
        or _SECRET & set(first["loc"])
        or isinstance(first["input"], dict | _Section)
        or place.startswith("warehouse")
        else f" (it is {first['input']!r})"
    )
    return f"{place}: {first['msg'].removeprefix('Value error, ')}{value}".removeprefix(": ")


def _every_key() -> set[str]:
    schema = Settings.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}
