"""The sections of daycast.toml, one class each: frozen, and unknown keys are refused.

A key's comment is its documentation. First the types that flows use for their parameters, then the sections.
"""

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
from daycast.model.config import OLD_NAMES
from daycast.sources.files.csv import CsvSource
from daycast.sources.files.parquet import ParquetSource
from daycast.sources.mqtt.source import MqttSource
from daycast.sources.noaa.ghcnh import GhcnhSource
from daycast.sources.noaa.isd_lite import IsdLiteSource
from daycast.sources.open_meteo.source import OpenMeteoSource
from daycast.sources.sensorthings.source import SensorThingsSource
from daycast.sources.simulated.source import SimulatedSource
from daycast.sources.sql import SqlSource
from daycast.sources.tables.wall_clock import validate_timezone
from daycast.times import parse_daily_hours, parse_duration

# types of the flows' parameters: Prefect's form shows them, and refuses other values before it creates a run
_ISO_8601 = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?$"
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time", "pattern": _ISO_8601})]
Epochs = Annotated[int, Field(ge=1)]
Minutes = Annotated[float, Field(gt=0)]


def _check_duration(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, AfterValidator(_check_duration)]
Timezone = Annotated[str, AfterValidator(validate_timezone)]


def _check_daily_hours(text: str) -> str:
    parse_daily_hours(text)
    return text


QuietHours = Annotated[str, AfterValidator(_check_daily_hours)]

RENAMED = {  # keys of earlier versions
    **OLD_NAMES,
    "lowest": "valid_min",
    "highest": "valid_max",
    "over_the_hour": "cell_method",
    "step": "rate_of_change",
    "trouble": "faults",
}
REMOVED = {  # keys of earlier versions that nothing took the place of
    "retrain.significance": "promotion waits for no proof any more (see the guide, `daycast guide model`); remove it",
}


class Section(BaseModel):
    """Base class of the sections: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeclaredVariable(Section):
    """[variables.NAME]: a variable that the network measures besides the built-in ones; NAME should end in its unit."""

    unit: str
    valid_min: float
    valid_max: float
    label: str = ""
    cell_method: Literal["point", "sum", "mean", "maximum"] = "point"
    circular: bool = False
    target: bool = True

    @model_validator(mode="after")
    def _validate_mean(self) -> "DeclaredVariable":
        if self.circular and self.cell_method == "mean":
            raise ValueError('a direction has no mean: write cell_method = "point"')
        return self


class StationsSettings(Section):
    """[stations]: what the clocks on the wall show where the stations stand; the report shows local time beside UTC."""

    timezone: Timezone | None = None  # of all stations; None: each one's own, from its position
    timezones: dict[str, Timezone] = Field(default={})  # of single stations, by their ids


class IngestSettings(Section):
    """[ingest]: how strict ingestion is."""

    refuse_above: Annotated[float, Field(ge=0, le=1)] = 0.2  # share of bad rows above which a whole batch is rejected
    earliest: datetime = datetime(1900, 1, 1, tzinfo=UTC)  # earlier rows are rejected: their clock was never set
    silent_after: Duration = "24h"  # warn about a station without readings for longer
    max_minutes: Annotated[float, Field(gt=0)] = 20.0  # for all sources together; the rest is left to the next ingest


class RetrainSettings(Section):
    """[retrain]: when a new challenger is due, and where it is trained."""

    every: Duration = "7d"
    fit_on: Literal["here", "cpu", "gpu"] = "here"  # in the run itself, or on a worker of that pool


class ForecastSettings(Section):
    """[forecast]: what is forecast where."""

    impute: bool = False  # also variables that a station has never reported: climatology, with its intervals


class LiveSettings(Section):
    """[live]: who is notified while daycast runs by itself."""

    alert_url: SecretStr | None = None  # gets a POST with {"text": …} when a run failed, crashed or is late
    alert_again_after: Duration = "6h"  # failures of the same flow are told at most once in that time
    quiet_hours: QuietHours | None = (
        None  # in which nothing is told, as "22:00-07:00 Europe/Berlin"; UTC without a zone
    )
    heartbeat_url: SecretStr | None = None  # gets a GET after each good forecast
    report_url: str | None = None  # where a browser finds the report; the summaries of runs link to it

    @field_validator("alert_url", "heartbeat_url", "report_url")
    @classmethod
    def _is_web_address(cls, url: SecretStr | str | None) -> SecretStr | str | None:
        text = url.get_secret_value() if isinstance(url, SecretStr) else url
        if text and not re.fullmatch(r"https?://[^\s/?#][^\s\0-\x20\x7f]*", text):
            raise ValueError("it is no web address: write http://… or https://…, without spaces")
        return url


class ComputeSettings(Section):
    """[compute]: what computes forecasts and quality checks, one block of stations at a time."""

    task_runner: Literal["process", "thread", "dask"] = "process"  # the run's own process, its threads, or dask
    workers: Annotated[int, Field(ge=1)] | None = None  # threads, or processes started by dask; None: one per core
    dask_address: str | None = None  # of a running scheduler: tcp://host:port or tls://host:port
    block_stations: Annotated[int, Field(ge=1)] = 512  # stations in a block

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
    """[publish]: how tables are published."""

    parquet_above: Annotated[int, Field(ge=0)] = 5_000_000  # rows: larger append-only tables become Parquet files


class RetentionSettings(Section):
    """[retention]: how long things are kept; without a value, for ever."""

    forecasts_days: Annotated[int, Field(ge=2)] | None = None
    scores_days: Annotated[int, Field(ge=30)] | None = None  # skill_by_station covers 30 days
    models: Annotated[int, Field(ge=0)] | None = (
        None  # how many, besides the champion, the newest and any with forecasts
    )


class DriftSettings(Section):
    """[drift]: when the champion's served forecasts count as drifted, which calls for a retraining."""

    days: Annotated[int, Field(ge=LEAST_DAYS, le=90)] = 14  # length of the rolling window
    lasting: Annotated[int, Field(ge=1, le=30)] = 3  # days in a row on which the test must fire
    loss: Annotated[float, Field(ge=0)] = 0.25  # allowed rise of the CRPS ratio to the best baseline since the holdout
    coverage: Annotated[float, Field(gt=0, lt=0.8)] = 0.7  # least coverage of the 80 % interval
    significance: Annotated[float, Field(gt=0, lt=0.5)] = 0.01  # strict, because each variable is tested every day


class LakeSettings(Section):
    """[warehouse.lake]: the warehouse on DuckLake, with the catalogue in PostgreSQL and the rows as Parquet."""

    catalogue: str  # postgresql://user@host:port/database; libpq takes the password from PGPASSWORD or PGPASSFILE
    data: str  # a folder relative to the configuration file, or s3://bucket/prefix with credentials in AWS_… variables

    @field_validator("data")
    @classmethod
    def _beside_the_file(cls, data: str, info: ValidationInfo) -> str:
        if "://" not in data:
            return str((Path((info.context or {}).get("folder", ".")) / data).resolve())
        if re.search(r"[?@]", data):  # the value is not shown: DuckDB would accept a key there
            raise ValueError("it may hold a credential: write s3://bucket/prefix, and set AWS_ACCESS_KEY_ID and so on")
        if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[\w.=+-]+)*/?", data):
            raise ValueError(f"{data!r} is neither a folder nor a bucket: write s3://bucket/prefix")
        return data

    @model_validator(mode="after")
    def _check_catalogue(self) -> "LakeSettings":
        address = urlsplit(self.catalogue)  # not shown in errors, because it may hold a password
        if address.password is not None or "password" in address.query:
            raise ValueError("catalogue holds a password: leave it out here, and set PGPASSWORD or PGPASSFILE")
        if address.scheme not in {"postgresql", "postgres"} or not address.path.strip("/"):
            raise ValueError("catalogue must read postgresql://user@host:port/database")
        return self


class WarehouseSettings(Section):
    """[warehouse]: where the tables are; in a file in the folder `data` by default, or on a lake."""

    lake: LakeSettings | None = None


SourceSettings = Annotated[
    SimulatedSource
    | CsvSource
    | ParquetSource
    | SqlSource
    | IsdLiteSource
    | GhcnhSource
    | OpenMeteoSource
    | SensorThingsSource
    | MqttSource,
    Field(discriminator="kind"),
]
