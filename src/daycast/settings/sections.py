"""The sections of daycast.toml, each frozen, and without keys it does not know."""

import re
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from daycast.evaluation.significance import LEAST_DAYS
from daycast.sources.files.csv import CsvSource
from daycast.sources.files.parquet import ParquetSource
from daycast.sources.noaa.ghcnh import GhcnhSource
from daycast.sources.noaa.isd_lite import IsdLiteSource
from daycast.sources.open_meteo.source import OpenMeteoSource
from daycast.sources.sensorthings.source import SensorThingsSource
from daycast.sources.simulated.source import SimulatedSource
from daycast.sources.sql import SqlSource
from daycast.times import parse_duration

# Types of the parameters of flows: Prefect's form shows them, and refuses anything else before a run exists.


_ISO_8601 = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?$"
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time", "pattern": _ISO_8601})]
Epochs = Annotated[int, Field(ge=1)]
Minutes = Annotated[float, Field(gt=0)]


def _keep_duration(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, AfterValidator(_keep_duration)]


class Section(BaseModel):
    """Frozen; refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeclaredVariable(Section):
    """A variable this network measures beside the built-in ones; its name should end in its unit."""

    unit: str
    valid_min: float
    valid_max: float
    label: str = ""
    cell_method: Literal["point", "sum", "maximum"] = "point"
    circular: bool = False
    target: bool = True


class IngestSettings(Section):
    """How strict ingestion is."""

    refuse_above: Annotated[float, Field(ge=0, le=1)] = 0.2  # share of bad rows above which a batch is refused whole
    earliest: datetime = datetime(
        1900, 1, 1, tzinfo=UTC
    )  # rows observed before are refused: a clock that was never set
    silent_after: Duration = "24h"  # a station not heard of for longer is a warning
    max_minutes: Annotated[float, Field(gt=0)] = 20.0  # that all sources together are waited for; the rest is left


class RetrainSettings(Section):
    """When a new challenger is due, and what it has to prove."""

    every: Duration = "7d"
    significance: Annotated[float, Field(gt=0, lt=0.5)] = 0.05  # level of the tests by which a model is promoted
    fit_on: Literal["here", "cpu", "gpu"] = "here"  # within the run, or by a worker of that pool


class LiveSettings(Section):
    """Who is told how daycast fares when it runs by itself."""

    alert_url: SecretStr | None = None  # gets a POST with {"text": …} when a forecast failed, crashed or is late
    heartbeat_url: SecretStr | None = None  # gets a GET after each good forecast

    @field_validator("alert_url", "heartbeat_url")
    @classmethod
    def _is_web_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not re.fullmatch(r"https?://[^\s/?#][^\s\0-\x20\x7f]*", url.get_secret_value()):
            raise ValueError("it is no web address: write http://… or https://…, without spaces")
        return url


class ComputeSettings(Section):
    """Who forecasts and checks, a block of stations at a time."""

    task_runner: Literal["process", "thread", "dask"] = (
        "process"  # the run's own process, its threads, or dask's workers
    )
    workers: Annotated[int, Field(ge=1)] | None = None  # threads, or processes that dask starts; None: one a core
    dask_address: str | None = None  # of a scheduler that runs already: tcp://host:port or tls://host:port
    block_stations: Annotated[int, Field(ge=1)] = 512

    @model_validator(mode="after")
    def _check_runner(self) -> "ComputeSettings":
        if self.dask_address and self.task_runner != "dask":
            raise ValueError(f'dask_address is for task_runner = "dask", and that is {self.task_runner!r}')
        if self.workers and (self.task_runner == "process" or self.dask_address):
            raise ValueError(
                "workers is how many are started here, by thread or dask without dask_address: leave it out"
            )
        if self.dask_address and not re.fullmatch(r"(tcp|tls)://[^\s/:]+:\d+", self.dask_address):
            raise ValueError(f"dask_address {self.dask_address!r} is none: write tcp://host:port or tls://host:port")
        if self.task_runner == "dask" and not find_spec("prefect_dask"):
            raise ValueError("task_runner is \"dask\", which is not installed: pip install 'daycast[dask]'")
        return self


class PublishSettings(Section):
    """How tables are published."""

    parquet_above: Annotated[int, Field(ge=0)] = (
        5_000_000  # rows: a table that grows and has more is published as files
    )


class RetentionSettings(Section):
    """What is kept for how long; what is left out is kept for ever."""

    forecasts_days: Annotated[int, Field(ge=2)] | None = None
    scores_days: Annotated[int, Field(ge=30)] | None = None  # skill_by_station tells of 30 days
    models: Annotated[int, Field(ge=0)] | None = None  # beside champion, newest and those with forecasts: others' files


class DriftSettings(Section):
    """When the champion's served forecasts have become worse than they should be, which calls for a retraining."""

    days: Annotated[int, Field(ge=LEAST_DAYS, le=90)] = 14  # rolling window
    lasting: Annotated[int, Field(ge=1, le=30)] = 3  # days in a row on which the window must prove it
    loss: Annotated[float, Field(ge=0)] = (
        0.25  # a CRPS ratio to the best baseline this much above the judged one is allowed
    )
    coverage: Annotated[float, Field(gt=0, lt=0.8)] = 0.7  # of the 80 % interval
    significance: Annotated[float, Field(gt=0, lt=0.5)] = 0.01  # strict, for each variable is tested every day


class LakeSettings(Section):
    """The warehouse's tables on DuckLake: its catalogue in PostgreSQL, its rows as Parquet."""

    catalogue: str  # postgresql://user@host:port/database; the password is libpq's business: PGPASSWORD, PGPASSFILE
    data: str  # a folder, relative to the configuration file's, or s3://bucket/prefix; its credentials: AWS_… variables

    @field_validator("data")
    @classmethod
    def _beside_the_file(cls, data: str, info: ValidationInfo) -> str:
        if "://" not in data:
            return str((Path((info.context or {}).get("folder", ".")) / data).resolve())
        if re.search(r"[?@]", data):  # not shown: DuckDB would take a key from there
            raise ValueError("it may hold a credential: write s3://bucket/prefix, and set AWS_ACCESS_KEY_ID and so on")
        if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[\w.=+-]+)*/?", data):
            raise ValueError(f"{data!r} is neither a folder nor a bucket: write s3://bucket/prefix")
        return data

    @model_validator(mode="after")
    def _check_catalogue(self) -> "LakeSettings":
        address = urlsplit(self.catalogue)  # never shown before it is known to hold no password
        if address.password is not None or "password" in address.query:
            raise ValueError("catalogue holds a password: leave it out here, and set PGPASSWORD or PGPASSFILE")
        if address.scheme not in {"postgresql", "postgres"} or not address.path.strip("/"):
            raise ValueError("catalogue must read postgresql://user@host:port/database")
        return self


class WarehouseSettings(Section):
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
