"""`Settings`: all sections of daycast.toml together, checked against each other, and the paths that follow from them."""

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from daycast.errors import ConfigError, did_you_mean
from daycast.model.config import Cell, ModelConfig
from daycast.quality.limits import DEFAULTS, Limits
from daycast.settings.sections import (
    RENAMED,
    ComputeSettings,
    DeclaredVariable,
    DriftSettings,
    ForecastSettings,
    IngestSettings,
    LiveSettings,
    PublishSettings,
    RetentionSettings,
    RetrainSettings,
    Section,
    SourceSettings,
    StationsSettings,
    WarehouseSettings,
)
from daycast.sources.simulated.source import SimulatedSource
from daycast.variables import BUILT_IN, IF_MAPPED, Variable
from daycast.warehouse.lake import Lake
from daycast.warehouse.warehouse import Warehouse

Threshold = Annotated[float, Field(ge=0)] | Literal["off"]
# the folder of state of the demonstration, so that it never mixes with a network that is configured later
DEMONSTRATION = Path("data") / "demo"


def _columns(source: SourceSettings, key: str) -> Mapping[str, Any]:
    """The variables that a source maps under this key; empty for a kind without it."""
    return getattr(source, key, None) or {}


def _mapped(source: SourceSettings) -> set[str]:
    """The variables that a source maps; empty for a kind that delivers whatever it has."""
    return {name for key in ("columns", "wide") for name in _columns(source, key)}


class Settings(Section):
    """All settings. Frozen; unknown keys are refused.

    Without sources, data folder and lake they are the demonstration's: the simulated network, with its state in DEMONSTRATION.
    """

    data: Path = Field(default=Path("data"), validate_default=True)  # the folder of all state, relative to the file
    sources: tuple[SourceSettings, ...] = (SimulatedSource(),)
    variables: dict[str, DeclaredVariable] = Field(default={})
    stored: WarehouseSettings = Field(default=WarehouseSettings(), alias="warehouse")
    stations: StationsSettings = StationsSettings()
    ingest: IngestSettings = IngestSettings()
    quality: dict[str, dict[str, Threshold]] = Field(default={})  # by variable, in place of the default limits
    model: ModelConfig = ModelConfig()
    retrain: RetrainSettings = RetrainSettings()
    forecast: ForecastSettings = ForecastSettings()
    live: LiveSettings = LiveSettings()
    compute: ComputeSettings = ComputeSettings()
    publish: PublishSettings = PublishSettings()
    retention: RetentionSettings = RetentionSettings()
    drift: DriftSettings = DriftSettings()

    @model_validator(mode="before")
    @classmethod
    def _keep_demonstration_apart(cls, given: Any) -> Any:
        if isinstance(given, dict) and not {"sources", "data", "warehouse"} & given.keys():
            return {**given, "data": str(DEMONSTRATION)}
        return given

    @field_validator("data", mode="before")
    @classmethod
    def _check_not_empty(cls, data: object) -> object:
        if isinstance(data, str) and not data.strip():
            raise ValueError("it is empty: name a folder, or leave it out")
        return data

    @field_validator("data")
    @classmethod
    def _beside_the_file(cls, data: Path, info: ValidationInfo) -> Path:
        place = (Path((info.context or {}).get("folder", ".")) / data).resolve()
        if "?" in str(place):
            raise ValueError(
                f"{place} has a '?', where the address of Prefect's database would end: name another folder"
            )
        # os.path: it answers False where access is denied, and does not raise
        if file := next((one for one in (place, *place.parents) if os.path.isfile(one)), None):  # noqa: PTH113
            raise ValueError(f"{file} is a file where a folder should be: move it away, or name another folder")
        return place

    @model_validator(mode="after")
    def _check_names(self) -> "Settings":
        names = [source.name for source in self.sources]
        if not names:
            raise ValueError("there is no source: add a [[sources]] table")
        if len(set(names)) < len(names):
            raise ValueError(f"two sources are called {max(names, key=names.count)!r}: give each its own name")
        redeclared = sorted(set(self.variables) & {*BUILT_IN, *IF_MAPPED})
        if redeclared:
            raise ValueError(f"variable {redeclared[0]!r} is built in: leave its declaration out")
        for key, named in (("targets", self.model.targets), ("inputs", self.model.inputs)):
            if unknown := sorted(set(named) - set(self.glossary)):
                hint = did_you_mean(unknown[0], self.glossary)
                raise ValueError(f"model.{key} names {unknown[0]!r}, no variable{hint}")
        self._check_quality()
        return self

    def _check_quality(self) -> None:
        keys = [field.name for field in fields(Limits)]
        for name, given in self.quality.items():
            if name not in self.glossary:
                raise ValueError(f"quality names {name!r}, no variable{did_you_mean(name, self.glossary)}")
            for key in given:
                if key not in keys:
                    hint = f": it is called {RENAMED[key]} now" if key in RENAMED else did_you_mean(key, keys)
                    raise ValueError(f"quality.{name}: unknown key {key!r}{hint}; there are: {', '.join(keys)}")
        try:
            _ = self.limits
        except ConfigError as error:
            raise ValueError(f"quality: {error}") from None

    @property
    def limits(self) -> dict[str, Limits]:
        """The thresholds of the checks for every variable: the defaults, replaced by what is configured."""
        limits = {name: DEFAULTS.get(name, Limits()) for name in self.glossary}
        for name, given in self.quality.items():
            chosen = {key: None if value == "off" else value for key, value in given.items()}
            limits[name] = replace(limits[name], **chosen)
        return limits

    @property
    def glossary(self) -> dict[str, Variable]:
        """Every variable of the network by name: built-in, mapped and declared."""
        named = set().union(*map(_mapped, self.sources))
        mapped = {name: variable for name, variable in IF_MAPPED.items() if name in named}
        declared = {
            name: Variable(name=name, **{**declared.model_dump(), "label": declared.label or name.replace("_", " ")})
            for name, declared in self.variables.items()
        }
        return {**BUILT_IN, **mapped, **declared}

    @property
    def measured(self) -> dict[str, frozenset[str]]:
        """The variables that each source of readings can deliver, by its name: those that it maps, else all of the glossary."""
        return {
            source.name: frozenset(_mapped(source) or self.glossary)
            for source in self.sources
            if not getattr(source, "forecast", None)
        }

    @property
    def warehouse(self) -> Warehouse:
        """The pipeline's database, with columns for every variable of the glossary."""
        lake = self.stored.lake
        keys = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        where = Lake(lake.catalogue, lake.data, keys) if lake else self.warehouse_file
        return Warehouse(where, self.glossary.values())

    @property
    def warehouse_file(self) -> Path:
        """The file of the pipeline's database, unless it is on a lake."""
        return self.data / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """The read-only database for analysts."""
        return self.data / "published.duckdb"

    @property
    def demonstration(self) -> Path | None:
        """The folder of state of a demonstration that ran here before; None if this is it, or none ran."""
        folder = self.data.parent / DEMONSTRATION
        return folder if folder != self.data and folder.is_dir() else None

    @property
    def snapshots(self) -> Path:
        """The folder of training snapshots (Parquet)."""
        return self.data / "snapshots"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints (safetensors)."""
        return self.data / "checkpoints"

    @property
    def heartbeat(self) -> Path:
        """The file that each successful forecast replaces."""
        return self.data / "heartbeat.json"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.data / "report.html"

    def with_cell(self, cell: str | None, epochs: int | None = None, minutes: float | None = None) -> ModelConfig:
        """The model configuration, with another cell or training budget where given. Raises ConfigError for a bad value."""
        if cell is not None and cell not in get_args(Cell):
            raise ConfigError(f"{cell!r} is no cell: choose {', '.join(get_args(Cell))}")
        for name, budget in (("epochs", epochs), ("minutes", minutes)):
            if budget is not None and not budget > 0:
                raise ConfigError(f"{name} cannot be {budget}: training needs more than nothing")
        changes: dict[str, Any] = {"cell": cell, "epochs": epochs, "max_minutes": minutes}
        return replace(self.model, **{name: value for name, value in changes.items() if value is not None})
