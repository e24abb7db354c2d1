"""Hours of operation with a moved clock: the library's steps in one process, as the flows call them one after the other."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from daycast.errors import SourceError
from daycast.evaluation.drift import Drift
from daycast.settings import Settings
from daycast.sources.batch import SourceBatch
from daycast.sources.simulated.source import SimulatedSource
from daycast.steps.calibrate import calibrate
from daycast.steps.evaluate import evaluate_holdout
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.publish import publish_tables
from daycast.steps.train import Outcome, fit_snapshot, register, write_snapshot
from daycast.steps.verify import note_drifts, verify_forecasts
from daycast.variables import Variable

WARMTH = "air_temperature_c"


@dataclass(frozen=True)
class Troubled:
    """A simulated network, late and faulty as it is, that cannot be reached for a while and whose thermometers turn over."""

    source: SimulatedSource
    silent: tuple[datetime, datetime]  # who asks in between is told that there is no answer
    turned: datetime | None = None  # from when on a thermometer that warms shows colder
    name: str = "simulated"
    resumes: bool = True

    def fetch(
        self, since: datetime | None, until: datetime, variables: Mapping[str, Variable], seen: Collection[str]
    ) -> Iterator[SourceBatch]:
        if self.silent[0] <= until < self.silent[1]:
            raise SourceError("no answer")
        for delivery in self.source.fetch(since, until, variables, seen):
            readings = delivery.readings
            if self.turned is not None:
                value = pl.col(WARMTH)
                turned = pl.when(pl.col("observed_at") >= self.turned, value > -90).then(20 - value).otherwise(value)
                readings = readings.with_columns(turned.alias(WARMTH))
            yield replace(delivery, readings=readings, raw=readings)

    def stations(self) -> pl.DataFrame:
        return self.source.stations()


@dataclass(frozen=True)
class Hour:
    """What one hour of operation came to."""

    now: datetime
    ingested: bool
    regimes: Collection[str]  # of its forecasts
    drifts: list[Drift]
    retrained: Outcome | None
    memory_mb: float
    disk_mb: Mapping[str, float]
    cpu_s: float  # of this process, which other work on the machine does not lengthen


def operate(settings: Settings, source: Troubled, now: datetime) -> Hour:
    """Ingest, forecast, verify, retrain where forecasts have drifted, and publish; a source without answer stops nothing."""
    started = time.process_time()
    try:
        ingest_source(settings, source, now)
        ingested = True
    except SourceError:
        ingested = False
    regimes = issue_forecasts(settings, now)["input_regime"].unique().to_list()
    drifts = verify(settings, now)
    retrained = retrain(settings, now) if drifts else None
    publish_tables(settings, now)
    return Hour(
        now, ingested, regimes, drifts, retrained, memory_mb(), disk_mb(settings), time.process_time() - started
    )


def verify(settings: Settings, now: datetime, run: Callable = lambda stage, *given: stage(*given)) -> list[Drift]:
    """Score, look for drift, calibrate; returns the new drifts. run: calls each stage, and returns None if it failed."""
    run(verify_forecasts, settings, now)
    _, drifts = run(note_drifts, settings, now) or (None, [])
    run(calibrate, settings, now)
    return drifts


def retrain(settings: Settings, now: datetime) -> Outcome:
    """As the flow retrain does it."""
    snapshot = write_snapshot(settings, now)
    checkpoint = fit_snapshot(snapshot, settings.checkpoints, settings.glossary, settings.model, lambda _: None)
    return register(settings, checkpoint, *evaluate_holdout(settings, checkpoint, now), now)


def worse(settings: Settings) -> Settings:
    """The same settings, with a network that hardly learns."""
    model = replace(settings.model, hidden_size=2, steps_per_epoch=1, learning_rate=1e-9, base=False)
    return settings.model_copy(update={"model": model})


def memory_mb() -> float:
    """What this process holds now, not its peak."""
    status = Path("/proc/self/status").read_text()
    return float(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def disk_mb(settings: Settings) -> dict[str, float]:
    """By file or folder of the data folder."""

    def size(path: Path) -> int:
        return (
            sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            if path.is_dir()
            else path.stat().st_size
        )

    return {path.name: size(path) / 2**20 for path in sorted(settings.data.iterdir())}


DOUBLED = {
    "forecasts": "station_id, variable, issued_at, lead_hours",
    "scores": "model_id, forecaster, station_id, variable, lead_hours, valid_on",
    "observation_versions": "station_id, observed_at, known_from",
    "models": "model_id",
    "drifts": "model_id, variable, measure",
}
